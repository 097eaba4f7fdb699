// A build as a command runs it: loads the models, takes INT and TERM as the wish to stop in order, and works alone or
// as one rank of an MPI job.
#pragma once

#include <cstdint>
#include <string>

#include "index/builder.h"

namespace hullft::coordinator {

struct BuildModels {
  std::string model, encoder;   // folders; encoder may be ""
  std::string encoder_digest;   // where embeddings are given and the encoder is not
  std::string device = "auto";  // of the encoder, see worker::ChooseDevice
  index::EncoderUse use = {};   // without its space; not read for a corpus that grows
};

// Every rank takes part; returns on rank 0, ends the process on the others. models: not read where corpora are.
index::CorpusInfo RunBuild(index::BuildSettings settings, const BuildModels& models);

// "2G", "500M", "4096". Throws kUsage for anything else.
int64_t BytesFromText(const std::string& text);

}  // namespace hullft::coordinator
