// Log-likelihood of documents and bits per byte by both definitions (method.md §6). No gradients; one thread per
// object.
#pragma once

#include <cstdint>

#include "worker/finetune/head_loss.h"
#include "worker/finetune/windows.h"
#include "worker/models/language_model.h"
#include "worker/tuner.h"

namespace hullft::worker {

// With the weights that the model's parameters show now. Tokens must be in the vocabulary. Short rolling windows go
// through the model several at a time; the first window of the other definition reads other tokens (no prefix), alone.
Score ScoreDocument(LanguageModel& model, HeadLoss& head, const EvalDocument& document, int32_t prefix_token,
                    int64_t max_length);

}  // namespace hullft::worker
