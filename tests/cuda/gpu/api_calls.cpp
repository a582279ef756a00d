// SPDX-License-Identifier: MIT
#include "api_calls.hpp"

#if __has_include(<cupti.h>)
#include <cupti.h>
#include <dlfcn.h>

#include <mutex>

namespace qnudge::cuda::test {
namespace {

struct Cupti {
  decltype(&::cuptiSubscribe) subscribe = nullptr;
  decltype(&::cuptiUnsubscribe) unsubscribe = nullptr;
  decltype(&::cuptiEnableDomain) enable_domain = nullptr;

  bool load(std::string& problem) {
    void* library = nullptr;
    for (const char* name : {"libcupti.so.13", "libcupti.so"}) {
      if (library == nullptr) library = dlopen(name, RTLD_NOW | RTLD_GLOBAL);
    }
    if (library == nullptr) {
      problem = "CUPTI cannot be loaded";
      return false;
    }
    subscribe = reinterpret_cast<decltype(subscribe)>(dlsym(library, "cuptiSubscribe"));
    unsubscribe = reinterpret_cast<decltype(unsubscribe)>(dlsym(library, "cuptiUnsubscribe"));
    enable_domain = reinterpret_cast<decltype(enable_domain)>(dlsym(library, "cuptiEnableDomain"));
    if (subscribe != nullptr && unsubscribe != nullptr && enable_domain != nullptr) return true;
    problem = "CUPTI lacks functions";
    return false;
  }
};

class Subscription : public ApiCalls {
 public:
  explicit Subscription(const Cupti& cupti) : cupti_(cupti) {}
  ~Subscription() override {
    if (subscriber_ != nullptr) cupti_.unsubscribe(subscriber_);
  }
  bool start(std::string& problem) {
    if (cupti_.subscribe(&subscriber_, &Subscription::heard, this) != CUPTI_SUCCESS ||
        cupti_.enable_domain(1, subscriber_, CUPTI_CB_DOMAIN_RUNTIME_API) != CUPTI_SUCCESS) {
      problem = "CUPTI does not report calls here";
      return false;
    }
    return true;
  }
  std::vector<std::string> names() const override {
    const std::lock_guard lock(mutex_);
    return names_;
  }

 private:
  static void CUPTIAPI heard(void* self, CUpti_CallbackDomain, CUpti_CallbackId, const void* data) {
    const auto* call = static_cast<const CUpti_CallbackData*>(data);
    if (call->callbackSite != CUPTI_API_ENTER) return;
    auto& calls = *static_cast<Subscription*>(self);
    const std::lock_guard lock(calls.mutex_);
    calls.names_.emplace_back(call->functionName);
  }

  const Cupti cupti_;
  CUpti_SubscriberHandle subscriber_ = nullptr;
  mutable std::mutex mutex_;
  std::vector<std::string> names_;
};

}  // namespace

std::unique_ptr<ApiCalls> ApiCalls::begin(std::string& problem) {
  Cupti cupti;
  if (!cupti.load(problem)) return nullptr;
  auto subscription = std::make_unique<Subscription>(cupti);
  if (!subscription->start(problem)) return nullptr;
  return subscription;
}

}  // namespace qnudge::cuda::test
#else
namespace qnudge::cuda::test {

std::unique_ptr<ApiCalls> ApiCalls::begin(std::string& problem) {
  problem = "this build found no CUPTI";
  return nullptr;
}

}  // namespace qnudge::cuda::test
#endif
