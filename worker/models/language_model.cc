#include "worker/models/language_model.h"

#include "common/error.h"
#include "worker/models/config.h"
#include "worker/models/decoder.h"
#include "worker/models/families.h"

namespace hullft::worker {

at::Tensor LanguageModel::Adapt(at::Tensor y, const at::Tensor& x, int weight) const {
  if (adapters_.empty()) return y;
  for (const Adapter& adapter : adapters_[static_cast<size_t>(weight)]) y = AddLowRank(y, x, adapter);
  return y;
}

void LanguageModel::CheckIds(const at::Tensor& ids) const {
  HULLFT_CHECK((ids.dim() == 1 || ids.dim() == 2) && ids.size(0) >= 1 && ids.scalar_type() == at::kLong);
  if (ids.size(-1) < 1 || ids.size(-1) > max_positions_) {
    throw DataError("a sequence of {} tokens does not fit the model's window of 1 to {}", ids.size(-1), max_positions_);
  }
}

std::unique_ptr<LanguageModel> LoadLanguageModel(const std::filesystem::path& folder, const FlatSource& source) {
  ConfigReader config = ConfigReader::OfModel(folder);
  return LoadDecoder(ReadShape(config), folder, source);
}

}  // namespace hullft::worker
