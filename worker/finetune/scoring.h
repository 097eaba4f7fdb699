// Log-likelihood of documents and bits per byte by both definitions (method.md §6). No gradients; one thread per
// object.
#pragma once

#include <cstdint>

#include "worker/finetune/head_loss.h"
#include "worker/finetune/windows.h"
#include "worker/models/language_model.h"
#include "worker/tuner.h"

namespace hullft::worker {

// int64 [size] on the device, for LanguageModel::Hidden.
at::Tensor IdTensor(std::span<const int32_t> tokens, at::Device device = at::kCPU);

// With the weights that the model's parameters show now. Tokens must be in the vocabulary. The two definitions read
// different inputs (with and without the prefix token), so each window is a forward pass of its own.
Score ScoreDocument(LanguageModel& model, HeadLoss& head, const EvalDocument& document, int32_t prefix_token,
                    int64_t max_length);

}  // namespace hullft::worker
