// The decoder language models that hullft runs, a row each: how a config.json becomes a DecoderShape. To add one, write
// its reader in families.cc, add its row, and goldens of a tiny random checkpoint (tests/goldens/README.md).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "worker/models/config.h"
#include "worker/models/decoder_shape.h"

namespace hullft::worker {

// How near a checked model comes to transformers; the tests hold it to this, `hullft models` prints it.
struct Tolerance {
  double logits = 1e-5, loss = 1e-5;  // absolute
  double gradients = 1e-4;            // of the norm of each parameter's
};
std::string ToText(const Tolerance& tolerance);

struct Family {
  std::string_view model_type;  // config.json's
  std::string_view models;      // a few that are well known
  std::string_view checked;     // folders of tests/goldens/models, with commas
  DecoderShape (*read)(ConfigReader& config);
  Tolerance tolerance = {};
};

std::span<const Family> Families();

// The row of a model_type. Throws kData that names the known ones when there is none.
const Family& FamilyOf(ConfigReader& config);

// The shape of the model that the configuration describes. Throws kData that names the field for a model_type or a
// value that is not implemented.
DecoderShape ReadShape(ConfigReader& config);

}  // namespace hullft::worker
