// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace qnudge {

/// Values of parameters that differ by channel, [parameter][C].
using ChannelValues = std::vector<std::vector<double>>;

/// A function of one real x, as a sequence of steps that refer to earlier ones. Whatever chain of element-wise
/// operators a model spells (`x * sigmoid(x)` as two branches too) becomes one of these, and one table of codes.
class ScalarFunction {
 public:
  enum class Op : std::uint8_t {
    x,
    constant,
    add,
    subtract,
    multiply,
    divide,
    minimum,
    maximum,
    power,  ///< a^b, a >= 0 or b a whole number
    negate,
    absolute,
    exponential,
    logarithm,
    square_root,
    error_function,
    hyperbolic_tangent,
    sigmoid,
    floor,
    ceil,
    round,      ///< half to even
    parameter,  ///< a constant that differs by channel; `constant` holds its number
  };
  struct Step {
    Op op = Op::x;
    int a = -1, b = -1;  ///< earlier steps; -1 where the op takes fewer operands
    double constant = 0;
    friend bool operator==(const Step&, const Step&) = default;
  };
  struct Bounds {
    double low, high;  ///< may be infinite
  };
  struct Affine {
    double scale, shift;
  };
  static constexpr std::size_t kMaxSteps = 1024;

  ScalarFunction();  ///< x itself
  /// Of steps as steps() gave them; throws ErrorKind::input where one refers to a later one or lacks an operand.
  explicit ScalarFunction(std::span<const Step> steps);
  static ScalarFunction constant(double value);
  static ScalarFunction parameter(std::size_t number);
  /// op(a) or op(a, b) of two functions of the same x; throws ErrorKind::input beyond kMaxSteps.
  static ScalarFunction of(Op op, const ScalarFunction& a);
  static ScalarFunction of(Op op, const ScalarFunction& a, const ScalarFunction& b);
  /// this(inner(x)).
  ScalarFunction after(const ScalarFunction& inner) const;
  /// One more than the largest number of a parameter.
  std::size_t parameters() const;
  /// With parameter i as parameter first + i.
  ScalarFunction renumbered(std::size_t first) const;
  /// The function of channel `channel`: values[i][channel] for parameter i.
  ScalarFunction of_channel(const ChannelValues& values, std::size_t channel) const;

  /// steps()[0] is x, the last one is the value.
  std::span<const Step> steps() const { return steps_; }
  bool is_identity() const { return steps_.size() == 1; }
  bool depends_on_x() const;
  /// Where this is clamp(x, low, high).
  std::optional<Bounds> bounds() const;
  /// Where this is x * scale + shift, however spelled.
  std::optional<Affine> affine() const;
  /// y[i] = this(x[i]) in fp32, one operation at a time; y may be x.
  void apply(std::span<const float> x, std::span<float> y) const;
  double operator()(double x) const;

  friend bool operator==(const ScalarFunction&, const ScalarFunction&) = default;

 private:
  static ScalarFunction leaf(const Step& step);
  int append(const Step& step);
  int append(const ScalarFunction& other, int x);
  ScalarFunction cut_to(int last);

  std::vector<Step> steps_;
};

int operands(ScalarFunction::Op op);
std::string_view to_string(ScalarFunction::Op op);

}  // namespace qnudge
