// SPDX-License-Identifier: MIT
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <chrono>
#include <cmath>
#include <thread>

#include "data/image_files.hpp"
#include "qnudge/core/block_file.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/core/stop.hpp"
#include "qnudge/data/open.hpp"
#include "qnudge/data/readers.hpp"

namespace qnudge {
namespace {
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

const Normalisation kBytes{{0, 0, 0}, {1, 1, 1}};  // x / 255: every byte can be told from the float

class ImageFolderTest : public FolderTest {
 protected:
  ImageFolderTest() { fs::create_directories(images()); }

  fs::path images() const { return folder_ / "images"; }
  ImageFolder options(std::int64_t classes = 10) const {
    return {.folder = images(), .labels = folder_ / "labels.txt", .classes = classes, .crop = 8, .cache = cache()};
  }
  fs::path cache() const { return folder_ / "cache"; }
  fs::path cache_file() const { return fs::directory_iterator(cache())->path(); }

  void image(const std::string& name, const Bytes& bytes) const {
    fs::create_directories((images() / name).parent_path());
    write("images/" + name, bytes);
  }
  void labels(const std::string& text) const { write("labels.txt", {text.begin(), text.end()}); }
  void three() const {
    image("a.png", png(picture(10, 8, 3, 1)));
    image("b.png", png(picture(8, 9, 3, 2)));
    image("c d.JPEG", jpeg(picture(12, 12, 3, 3)));
    labels("a.png 3\nb.png 0\nc d.JPEG 9\n");
  }
  std::shared_ptr<const Dataset> open(int threads = 0) const {
    ImageFolder from = options();
    from.threads = threads;
    return open_image_folder(from, kBytes);
  }
  std::string refused(const ImageFolder& from) const {
    return input_refusal([&] { open_image_folder(from, kBytes); });
  }
  std::string refused() const { return refused(options()); }
};

Bytes pixels(const Dataset& data, std::int64_t index) {
  std::vector<float> values(static_cast<std::size_t>(data.shape().size()));
  data.read(index, values);
  Bytes bytes;
  for (const float value : values) bytes.push_back(static_cast<std::uint8_t>(std::lround(value * 255)));
  return bytes;
}

TEST_F(ImageFolderTest, ReadsTheListInItsOrder) {
  three();
  labels(
      "\xEF\xBB\xBF"
      "b.png\t0\r\n\r\n  c d.JPEG   9 \r\na.png 3");
  const auto data = open();
  EXPECT_THAT(data->labels(), ElementsAre(0, 9, 3));
  EXPECT_EQ(data->shape(), (Shape{8, 8, 3}));
  EXPECT_EQ(data->size(), 3);
  EXPECT_THAT(data->description(), AllOf(HasSubstr("3 images of 8x8x3 in 10 classes"), HasSubstr(images().string())));
  const Samples a = picture(10, 8, 3, 1), b = picture(8, 9, 3, 2);
  const Bytes found = pixels(*data, 2);
  for (std::size_t y = 0; y < 8; ++y) {
    for (std::size_t i = 0; i < 24; ++i) ASSERT_EQ(found[y * 24 + i], a.bytes[y * 30 + 3 + i]) << "columns 1 to 8";
  }
  EXPECT_EQ(pixels(*data, 0), Bytes(b.bytes.begin(), b.bytes.begin() + 8 * 24)) << "half a row is no row";
}

TEST_F(ImageFolderTest, AStopIsAnsweredBetweenImagesAndLeavesNoCache) {
  three();
  for (const int threads : {1, 3}) {
    const StopFlag stop{true};
    const StopScope scope(&stop);
    try {
      open(threads);
      FAIL() << "was not interrupted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::interrupted) << error.what();
    }
    EXPECT_TRUE(!fs::exists(cache()) || fs::is_empty(cache()));
  }
  EXPECT_EQ(open()->size(), 3);
}

TEST_F(ImageFolderTest, AStopIsAnsweredWhileAnotherProcessDecodes) {
  three();
  open();
  const fs::path file = cache_file();
  fs::remove(file);
  const BlockWriter other(file);
  StopFlag stop{false};
  std::jthread asker([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    stop = true;
  });
  const StopScope scope(&stop);
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_THROW(open(), Error);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(2));
}

TEST_F(ImageFolderTest, ReadsAFolderPerClass) {
  for (const char* name : {"zebra/1.png", "apple/2.png", "apple/deep/1.png", "mango/1.PNG"}) {
    image(name, png(picture(8, 8)));
  }
  image("zebra/notes.txt", {'x'});
  image(".hidden/1.png", {});
  ImageFolder from = options(3);
  from.labels.clear();
  EXPECT_THAT(open_image_folder(from, kBytes)->labels(), ElementsAre(0, 0, 1, 2));
  from.classes = 4;
  EXPECT_THAT(refused(from), HasSubstr("has 3 folders of classes, but data.classes is 4"));
  fs::create_directories(images() / "kiwi");
  EXPECT_THAT(refused(from), HasSubstr("kiwi: holds no image"));
  image("kiwi.png", png(picture(8, 8)));
  EXPECT_THAT(refused(from), HasSubstr("kiwi.png: lies in no folder of a class"));
}

TEST_F(ImageFolderTest, RefusesListsThatDoNotFitTheFolder) {
  three();
  const std::string good = "a.png 3\nb.png 0\nc d.JPEG 9\n", file = (folder_ / "labels.txt").string();
  const auto refused_list = [&](const std::string& text) {
    labels(text);
    return refused();
  };
  EXPECT_EQ(refused_list(good), "");
  EXPECT_THAT(refused_list("a.png 3\n\nb.png\n"),
              HasSubstr(file + ":3: needs an image's name and its label, found 'b.png'"));
  EXPECT_THAT(refused_list("a.png three\n"), HasSubstr(file + ":1: needs an image's name and its label"));
  EXPECT_THAT(refused_list("a.png 3.0\n"), HasSubstr(":1: needs"));
  EXPECT_THAT(refused_list("7\n"), HasSubstr(":1: needs"));
  EXPECT_THAT(refused_list("a.png 10\n"),
              HasSubstr(":1: the label of 'a.png' is 10, but with data.classes = 10 labels are 0..9"));
  EXPECT_THAT(refused_list("a.png -1\n"), HasSubstr("is -1, but"));
  EXPECT_THAT(refused_list("a.png 99999999999999999999\n"), HasSubstr("is 99999999999999999999, but"));
  EXPECT_THAT(refused_list(good + "e.png 1\n"),
              HasSubstr(file + ":4: there is no image 'e.png' in " + images().string()));
  EXPECT_THAT(refused_list(good + "../images/a.png 1\n"), HasSubstr(":4: there is no image"));
  EXPECT_THAT(refused_list(good + "a.png 3\n"), HasSubstr(file + ":4: 'a.png' has a label already, in line 1"));
  EXPECT_THAT(refused_list("a.png 3\nb.png 0\n"), HasSubstr("c d.JPEG: has no line in " + file));
  EXPECT_THAT(refused_list(""), HasSubstr("has no line in"));
  EXPECT_THAT(refused_list(std::string("a.png\0 3\n", 9)), HasSubstr(":1: has a control character"));
  const Bytes binary = jpeg(picture(8, 8));
  EXPECT_THAT(refused_list({binary.begin(), binary.end()}), HasSubstr(":1: has a control character"));
  fs::remove(file);
  EXPECT_THAT(refused(), HasSubstr("labels.txt: cannot be read"));
  fs::create_directories(file);
  EXPECT_THAT(refused(), HasSubstr("labels.txt: is a folder"));
}

TEST_F(ImageFolderTest, RefusesWhatIsNoFolderOfImages) {
  labels("");
  EXPECT_THAT(refused(), HasSubstr("images: holds no image"));
  image("a.txt", {'x'});
  EXPECT_THAT(refused(), HasSubstr("images: holds no image"));
  ImageFolder from = options();
  from.folder = folder_ / "missing";
  EXPECT_THAT(refused(from), HasSubstr("missing: cannot be read"));
  from.folder = folder_ / "labels.txt";
  EXPECT_THAT(refused(from), HasSubstr("is not a folder"));
  fs::create_directory_symlink(images(), images() / "circle");
  EXPECT_THAT(refused(), HasSubstr("nested deeper than 8"));
}

/// What `call` logs.
template <class Call>
std::string logged(const Call& call) {
  std::ostringstream text;
  const auto before = spdlog::default_logger();
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text)));
  call();
  spdlog::set_default_logger(before);
  return text.str();
}

TEST_F(ImageFolderTest, CountsAndNamesImagesOfOtherFormats) {
  three();
  image("e/u.GIF", {'G', 'I', 'F'});
  image("e/v.gif", {'G', 'I', 'F'});
  image("w.heic", {'x'});
  image("notes.txt", {'x'});
  EXPECT_THAT(logged([&] { EXPECT_EQ(open()->size(), 3); }),
              HasSubstr("are passed over: 2 .gif, 1 .heic; the first is e/u.GIF"));
  labels("a.png 3\nb.png 0\nc d.JPEG 9\nw.heic 1\n");
  EXPECT_THAT(refused(), HasSubstr("labels.txt:4: 'w.heic' is no image of a format that is read"));
  for (const char* name : {"a.png", "b.png", "c d.JPEG"}) fs::remove(images() / name);
  EXPECT_THAT(refused(), HasSubstr("1 .heic; the first is e/u.GIF"));
}

TEST_F(ImageFolderTest, ReadsEveryNameOfAFormat) {
  for (const char* name : {"a.jfif", "b.JPE", "c.webp", "d.tif", "e.tiff", "f.bmp", "g.ppm", "h.pgm", "i.pnm"}) {
    image(name, png(picture(9, 9)));  // told by the content
  }
  labels("a.jfif 0\nb.JPE 0\nc.webp 0\nd.tif 0\ne.tiff 0\nf.bmp 0\ng.ppm 0\nh.pgm 0\ni.pnm 0\n");
  EXPECT_EQ(open()->size(), 9);
}

TEST_F(ImageFolderTest, WarnsOfNumberedClassesInTheOrderOfText) {
  ImageFolder from = options(11);
  from.labels.clear();
  for (int k = 0; k < 11; ++k) image(fmt::format("{}/x.png", k), png(picture(9, 9)));
  EXPECT_THAT(
      logged([&] { open_image_folder(from, kBytes); }),
      AllOf(HasSubstr("in the order of text, '10' before '2'"), HasSubstr("images: the folders of its classes")));
  fs::rename(images() / "10", images() / "9a");
  EXPECT_THAT(logged([&] { open_image_folder(from, kBytes); }), testing::Not(HasSubstr("order of text")));
}

TEST_F(ImageFolderTest, NamesTheFirstImageThatCannotBeRead) {
  std::string list;
  for (int i = 10; i < 40; ++i) {
    const std::string name = fmt::format("{}.jpg", i);
    image(name, i == 15 || i == 30 ? Bytes{'t', 'e', 'x', 't'} : jpeg(picture(9, 9)));
    list += name + " 1\n";
  }
  labels(list);
  ImageFolder from = options();
  for (const int threads : {1, 2, 7}) {
    from.threads = threads;
    EXPECT_THAT(refused(from), HasSubstr("15.jpg: is no image of a kind that is read"));
  }
  EXPECT_TRUE(fs::is_empty(cache())) << "nothing half done is left";
  image("15.jpg", {});
  EXPECT_THAT(refused(from), HasSubstr("15.jpg: is empty"));
  image("15.jpg", jpeg(picture(9, 7)));
  EXPECT_THAT(refused(from), HasSubstr("15.jpg: has 9 x 7 pixels, too few for data.crop = 8"));
  fs::remove(images() / "15.jpg");
  fs::create_symlink("nowhere", images() / "15.jpg");
  EXPECT_THAT(refused(from), HasSubstr("15.jpg: cannot be read"));
}

/// Other bytes under the same name, size and time.
void replace_secretly(const fs::path& path, const Bytes& bytes) {
  const auto time = fs::last_write_time(path);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  fs::last_write_time(path, time);
}

TEST_F(ImageFolderTest, DecodesOnceAndAgainWhenASourceChanges) {
  three();
  const auto first = open();
  const Bytes before = pixels(*first, 0);
  const auto written = fs::last_write_time(cache_file());
  replace_secretly(images() / "a.png", Bytes(fs::file_size(images() / "a.png"), 7));
  const auto again = open();
  EXPECT_EQ(fs::last_write_time(cache_file()), written);
  EXPECT_EQ(pixels(*again, 0), before) << "not decoded again";
  EXPECT_EQ(again->fingerprint(), first->fingerprint());

  fs::last_write_time(images() / "a.png", fs::last_write_time(images() / "a.png") + std::chrono::nanoseconds(1));
  EXPECT_THAT(refused(), HasSubstr("a.png: is no image of a kind")) << "the time alone has changed";

  const Bytes other = png(picture(8, 8, 3, 77));
  image("a.png", other);
  fs::last_write_time(images() / "a.png", fs::file_time_type::clock::now() + std::chrono::seconds(5));
  const auto changed = open();
  EXPECT_NE(pixels(*changed, 0), before);
  EXPECT_EQ(pixels(*changed, 1), pixels(*first, 1));
  EXPECT_NE(changed->fingerprint(), first->fingerprint());
  EXPECT_EQ(pixels(*first, 0), before) << "who has the old file open keeps it";

  labels("b.png 0\na.png 3\nc d.JPEG 9\n");
  EXPECT_EQ(pixels(*open(), 1), pixels(*changed, 0)) << "another order is another content";
  ImageFolder smaller = options();
  smaller.resize = 8;
  smaller.crop = 5;
  EXPECT_EQ(open_image_folder(smaller, kBytes)->shape(), (Shape{5, 5, 3}));
  EXPECT_EQ(std::distance(fs::directory_iterator(cache()), fs::directory_iterator()), 2) << "beside the other";
}

TEST_F(ImageFolderTest, RebuildsACacheThatIsNotWhole) {
  three();
  const Bytes expected = pixels(*open(), 2);
  const fs::path file = cache_file();
  const auto size = fs::file_size(file);
  for (const std::uintmax_t cut : {std::uintmax_t{0}, std::uintmax_t{10}, std::uintmax_t{4096}, size - 1}) {
    fs::resize_file(file, cut);
    EXPECT_EQ(pixels(*open(), 2), expected) << cut;
    EXPECT_EQ(fs::file_size(file), size);
  }
  for (const std::uintmax_t at : {0, 20, 60, 75}) {
    std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).seekp(static_cast<std::streamoff>(at)).put('~');
    EXPECT_EQ(pixels(*open(), 2), expected) << "byte " << at << " of the header";
  }
  write("cache/" + file.filename().string(), jpeg(picture(64, 64)));
  EXPECT_EQ(pixels(*open(), 2), expected) << "a foreign file";
  write("cache/" + file.filename().string() + ".tmp", {'x'});
  EXPECT_EQ(pixels(*open(), 2), expected) << "what an interrupted run left";
}

TEST_F(ImageFolderTest, NeverGivesCorruptedPixels) {
  three();
  const auto data = open();
  std::fstream(cache_file(), std::ios::in | std::ios::out | std::ios::binary).seekp(-1, std::ios::end).put('~');
  EXPECT_THAT(input_refusal([&] { pixels(*data, 2); }), HasSubstr("is corrupted (image 2"));
  EXPECT_THAT(input_refusal([&] { pixels(*open(), 2); }), HasSubstr("delete it"));
  pixels(*data, 1);
  fs::resize_file(cache_file(), 4096 + 2 * 8 * 8 * 3 - 1);
  EXPECT_THAT(input_refusal([&] { pixels(*data, 1); }), HasSubstr("has become shorter"));
}

TEST_F(ImageFolderTest, SeveralMayOpenAtOnce) {
  std::string list;
  for (int i = 0; i < 60; ++i) {
    const std::string name = fmt::format("{}.png", i);
    image(name, png(picture(30, 30, 3, static_cast<std::uint32_t>(i))));
    list += fmt::format("{} {}\n", name, i % 10);
  }
  labels(list);
  std::vector<std::string> fingerprints(4);
  std::vector<std::thread> openers;
  for (std::string& fingerprint : fingerprints) openers.emplace_back([&] { fingerprint = open(2)->fingerprint(); });
  for (std::thread& opener : openers) opener.join();
  EXPECT_THAT(fingerprints, testing::Each(open(1)->fingerprint()));
  EXPECT_EQ(std::distance(fs::directory_iterator(cache()), fs::directory_iterator()), 1);
}

TEST_F(ImageFolderTest, RefusesACacheThatCannotBeWritten) {
  three();
  ImageFolder from = options();
  from.cache = folder_ / "labels.txt";
  EXPECT_THAT(input_refusal([&] { open_image_folder(from, kBytes); }, ErrorKind::usage), HasSubstr("labels.txt"));
  from.cache = "/dev/full/x";
  EXPECT_NE(input_refusal([&] { open_image_folder(from, kBytes); }, ErrorKind::usage), "");
}

TEST_F(ImageFolderTest, IsWhatTheConfigNames) {
  three();
  DataConfig config;
  config.format = "image_folder";
  config.train_images = {images().string()};
  config.train_labels = (folder_ / "labels.txt").string();
  config.test_from = "train";
  config.resize = 9;
  config.crop = 7;
  config.cache = cache().string();
  config.mean = {0.485, 0.456, 0.406};
  config.std = {0.229, 0.224, 0.225};
  const auto data = open_dataset(config, true, 1);
  EXPECT_EQ(data->classes(), 1000);
  EXPECT_EQ(data->shape(), (Shape{7, 7, 3}));
  std::vector<float> values(7 * 7 * 3);
  data->read(0, values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float mean = static_cast<float>(config.mean[i % 3]), std = static_cast<float>(config.std[i % 3]);
    const float byte = std::round((values[i] * std + mean) * 255.0f);
    ASSERT_EQ(values[i], (byte / 255.0f - mean) / std);
  }
  config.mean = {0.5};
  config.std = {0.5};
  EXPECT_THAT(input_refusal([&] { open_dataset(config, true); }), HasSubstr("images of 3 channel(s)"));
}

TEST(ImageNetData, OpensAndHasItsCounts) {
  const char* folder = std::getenv("QNUDGE_DATA");
  if (folder == nullptr || !fs::exists(fs::path(folder) / "imagenet_val1300")) {
    GTEST_SKIP() << "QNUDGE_DATA is not set or has no imagenet_val1300";
  }
  const fs::path cache = fs::temp_directory_path() / fmt::format("qnudge_imagenet_{}", ::getpid());
  const auto data = open_image_folder({.folder = fs::path(folder) / "imagenet_val1300/images",
                                       .labels = fs::path(folder) / "imagenet_val1300/labels.txt",
                                       .classes = 1000,
                                       .resize = 64,
                                       .crop = 56,
                                       .cache = cache},
                                      kBytes);
  fs::remove_all(cache);
  EXPECT_EQ(data->size(), 1300);
  EXPECT_EQ(data->labels()[0], 472);
}

}  // namespace
}  // namespace qnudge
