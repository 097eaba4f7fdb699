#include "worker/models/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

namespace hullft::worker {
namespace {

// base^(0, 2, 4, ...)/dim, float32 [dim/2].
at::Tensor PositionFrequencies(double theta, int64_t dim) {
  return at::pow(theta, at::arange(0, dim, 2, at::kFloat) / static_cast<double>(dim));
}

// transformers modeling_rope_utils, _compute_llama3_parameters.
at::Tensor Llama3(ConfigReader& rope, const at::Tensor& plain, int64_t original) {
  const double factor = rope.Number("factor"), low = rope.Number("low_freq_factor"),
               high = rope.Number("high_freq_factor");
  if (high <= low) throw rope.Unsupported("high_freq_factor", "it must be above low_freq_factor");
  const double length = static_cast<double>(original);
  const at::Tensor wavelength = 2 * std::numbers::pi / plain;
  const at::Tensor scaled = at::where(wavelength > length / low, plain / factor, plain);
  const at::Tensor smooth = (length / wavelength - low) / (high - low);
  const at::Tensor blended = (1 - smooth) * scaled / factor + smooth * scaled;
  const at::Tensor medium = (wavelength >= length / high).logical_and(wavelength <= length / low);
  return at::where(medium, blended, scaled);
}

// transformers modeling_rope_utils, _compute_yarn_parameters.
at::Tensor Yarn(ConfigReader& rope, double theta, int64_t dim, int64_t original, double* attention_factor) {
  const double factor = rope.Number("factor"), fast = rope.Number("beta_fast", 32), slow = rope.Number("beta_slow", 1);
  const double mscale = rope.Number("mscale", 0), mscale_all = rope.Number("mscale_all_dim", 0);
  const auto scale_of = [factor](double m) { return factor <= 1 ? 1.0 : 0.1 * m * std::log(factor) + 1.0; };
  const double by_default = mscale != 0 && mscale_all != 0 ? scale_of(mscale) / scale_of(mscale_all) : scale_of(1);
  *attention_factor = rope.Number("attention_factor", by_default);
  const auto correction = [&](double rotations) {
    return static_cast<double>(dim) * std::log(static_cast<double>(original) / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(theta));
  };
  double low = correction(fast), high = correction(slow);
  if (rope.Flag("truncate", true)) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, static_cast<double>(dim - 1));
  if (low == high) high += 0.001;
  const at::Tensor ramp = ((at::arange(dim / 2, at::kFloat) - low) / (high - low)).clamp(0, 1);
  const at::Tensor frequencies = PositionFrequencies(theta, dim), extrapolate = 1 - ramp;
  return 1 / (factor * frequencies) * (1 - extrapolate) + 1 / frequencies * extrapolate;
}

}  // namespace

Rope::Rope(ConfigReader& config, int64_t dim, int64_t max_positions) {
  if (dim % 2 != 0) throw config.Unsupported("head_dim", "rotary embeddings need an even head width");
  const bool new_names = config.Has("rope_parameters"), scaled = config.Has("rope_scaling");
  ConfigReader rope = new_names ? config.Object("rope_parameters")
                      : scaled  ? config.Object("rope_scaling")
                                : ConfigReader(config.path(), "", nlohmann::json::object());
  if (new_names && scaled && config.Object("rope_scaling").Has("factor")) {
    throw config.Unsupported("rope_scaling", "rope_parameters is there too");
  }
  const double outer_theta = config.Number("rope_theta", 10000.0);
  const double theta = rope.Number("rope_theta", outer_theta);
  if (theta <= 1) throw rope.Unsupported("rope_theta", "it must be above 1");
  const std::string old_type = rope.Text("type", "default");
  const std::string type = rope.Text("rope_type", old_type);
  if (rope.Number("partial_rotary_factor", 1.0) != 1.0 || config.Number("partial_rotary_factor", 1.0) != 1.0) {
    throw config.Unsupported("partial_rotary_factor", "only whole heads are rotated");
  }
  const at::Tensor plain = 1.0 / PositionFrequencies(theta, dim);
  if (type == "default") {
    inverse_frequencies_ = plain;
  } else if (type == "linear") {
    inverse_frequencies_ = plain / rope.Number("factor");
  } else if (type == "llama3") {
    inverse_frequencies_ = Llama3(rope, plain, rope.Size("original_max_position_embeddings"));
  } else if (type == "yarn") {
    const int64_t original = rope.Size("original_max_position_embeddings", max_positions);
    inverse_frequencies_ = Yarn(rope, theta, dim, original, &attention_factor_);
  } else {
    throw rope.Unsupported("rope_type", "this rotary scaling is not implemented (default, linear, llama3, yarn are)");
  }
  rope.RejectUnknown({});
}

std::pair<at::Tensor, at::Tensor> Rope::Tables(int64_t length, at::Device device) {
  if (!cos_.defined() || cos_.size(0) < length || cos_.device() != device) {
    const at::Tensor positions = at::arange(length, at::kFloat).unsqueeze(1);
    const at::Tensor angles = positions * inverse_frequencies_.unsqueeze(0);
    cos_ = (angles.cos() * attention_factor_).unsqueeze(1).to(device);
    sin_ = (angles.sin() * attention_factor_).unsqueeze(1).to(device);
  }
  return {cos_.narrow(0, 0, length), sin_.narrow(0, 0, length)};
}

at::Tensor Rope::Apply(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const int64_t half = x.size(2) / 2;
  const at::Tensor first = x.narrow(2, 0, half), second = x.narrow(2, half, half);
  return at::cat({first * cos - second * sin, second * cos + first * sin}, 2);
}

}  // namespace hullft::worker
