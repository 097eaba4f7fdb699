// The text encoders that hullft runs, a row each: how a config.json becomes an EncoderShape. To add one, write its
// reader in encoder_families.cc, add its row, and goldens of a tiny random checkpoint (tests/goldens/README.md).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "worker/models/config.h"
#include "worker/models/encoder_shape.h"

namespace hullft::worker {

// As families.h's, for encoders; both absolute.
struct EncoderTolerance {
  double hidden = 1e-5, vectors = 1e-5;
};
std::string ToText(const EncoderTolerance& tolerance);

struct EncoderFamily {
  std::string_view model_type;  // config.json's
  std::string_view models;      // a few that are well known
  std::string_view checked;     // folders of tests/goldens/encoders, with commas
  EncoderShape (*read)(ConfigReader& config);
  EncoderTolerance tolerance = {};
};

std::span<const EncoderFamily> EncoderFamilies();

// The row of a model_type. Throws kData that names the known ones when there is none.
const EncoderFamily& EncoderFamilyOf(ConfigReader& config);

// The shape of the encoder that the configuration describes. Throws kData that names the field for a model_type or a
// value that is not implemented.
EncoderShape ReadEncoderShape(ConfigReader& config);

}  // namespace hullft::worker
