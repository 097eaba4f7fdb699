// Finetuning of low-rank adapters (LoRA, Hu et al. 2021, arXiv 2106.09685) in place of all weights: what to adapt, and
// how.
//
// A projection y = W x becomes y = W x + (alpha / rank) B A x with A [rank, inputs] and B [outputs, rank]. Only A and B
// are trained. Every query begins with B = 0 and A uniform in +-1 / sqrt(inputs) (Kaiming's with a = sqrt 5, as
// Hugging Face's peft), the same numbers on every machine. No Torch here. Thread safety: values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hullft::worker {

struct AdapterOptions {
  std::string kind = "none";    // or "lora"
  int rank = 8;                 // R
  double alpha = 16;            // the sum that is added is scaled by alpha / rank
  std::string targets = "q,v";  // of q, k, v, o, gate, up, down, or qkv (GPT-NeoX): those that the model has, with commas

  bool lora() const { return kind == "lora"; }
  std::string Validate() const;  // all faults in one text, "" when none
  std::vector<std::string> TargetList() const;
};

// A projection that may have an adapter: outputs [begin, begin + outputs) of a weight. GPT-2's q, k and v are thirds of
// one weight.
struct AdapterPlace {
  std::string target;  // "q"
  int weight = -1;     // index of the parameter
  int64_t begin = 0, outputs = 0, inputs = 0;
  bool in_out = false;  // the weight lies [inputs, all outputs], as GPT-2's do, else [all outputs, inputs]
};

// The places that options.targets names, in their order. Throws kUsage for a name that no place has, with those that
// are there.
std::vector<AdapterPlace> ChoosePlaces(const AdapterOptions& options, const std::vector<AdapterPlace>& places);

}  // namespace hullft::worker
