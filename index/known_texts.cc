#include "index/known_texts.h"

#include <numeric>

#include "common/hash.h"
#include "index/manifest.h"
#include "index/partition_files.h"
#include "index/sequence_store.h"

namespace hullft::index {

void KnownTexts::ForEach(int number, int partitions,
                         const std::function<void(uint64_t, std::string_view)>& visit) const {
  for (const Generation& generation : corpus_.generations) {
    // A hash with remainder `number` for the one count and p for the other exists only where these agree:
    const int common = std::gcd(partitions, generation.partitions);
    for (int p = number % common; p < generation.partitions; p += common) {
      const StoreReader store(PartitionFolder(corpus_.folder, generation.first_partition + p) / kStoreFolder,
                              corpus_.embedding_type);
      store.ForEachText([&](SequenceId, std::string_view text) {
        const uint64_t hash = Hash64(text);
        if (hash % static_cast<uint64_t>(partitions) == static_cast<uint64_t>(number)) visit(hash, text);
      });
    }
  }
}

}  // namespace hullft::index
