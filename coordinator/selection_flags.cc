#include "coordinator/selection_flags.h"

namespace hullft::coordinator {

void SelectionFlags::BindSelection(OptionTable* table) {
  table->Add("method", &method, "how the multiset is chosen").OneOf({"hullft", "knn", "random", "sift", "mmr"});
  table->Add("n", &select.n, "N, sequences of the multiset with their repeats").Range(1, 1e6);
  table->Add("max-iter", &select.max_iter, "Frank-Wolfe iterations").Range(1, 1e6);
  table->Add("tol", &select.tol, "Frank-Wolfe ends when the residual's norm is below").Range(0, 10);
  table
      ->Add("gap-tol", &select.gap_tol,
            "Frank-Wolfe ends when the duality gap is at most this; 0: the reference does not look at it, the other "
            "variants end where rounding does")
      .Range(0, 10);
  table
      ->Add("max-support", &select.max_support,
            "distinct sequences at most: fewer than N means repeats, whose gradients can be reused; 0: N")
      .Range(0, 1e6);
  table
      ->Add("fw-variant", &fw_variant,
            "Frank-Wolfe: reference (the paper's path), away (away-step), pairwise, corrective (fully corrective: the "
            "optimum over its support after each point)")
      .OneOf({"reference", "away", "pairwise", "corrective"});
  table->Add("swap-passes", &select.swap_passes, "passes of the integerization's local search").Range(0, 1000);
  table
      ->Add("rounding", &rounding,
            "weights to counts: geometry (the method), remainder (its ablation) or exact (the least loss, for small N)")
      .OneOf({"geometry", "remainder", "exact"});
  table
      ->Add("exact-nodes", &select.exact_nodes,
            "steps of the search for the counts with the least loss: rounding_gap is what rounding lost to them, null "
            "where it takes more; --rounding exact then ends in an error; 0: no search")
      .Range(0, 1e12);
  table->Add("sift-lambda", &select.sift_lambda, "observation noise of SIFT").Range(1e-12, 1e12);
  table
      ->Add(
          "sift-grouping", &sift_grouping,
          "a sequence that SIFT picks again: consecutive (trained on where it was picked; gradients are reused between "
          "neighbours) or global (moved to its first pick)")
      .OneOf({"consecutive", "global"});
  table->Add("mmr-lambda", &select.mmr_lambda, "of mmr: 1 is nearness to the query alone, 0 novelty alone").Range(0, 1);
  table->Add("seed", &seed, "of the method random").Range(0, 9e15);
}

std::string SelectionFlags::FinishSelection() {
  select.method = select::MethodFromName(method);
  select.variant = select::VariantFromName(fw_variant);
  select.rounding = rounding == "remainder" ? select::Rounding::kRemainder
                    : rounding == "exact"   ? select::Rounding::kExact
                                            : select::Rounding::kGeometry;
  select.sift_grouping = sift_grouping == "global" ? select::SiftGrouping::kGlobal : select::SiftGrouping::kConsecutive;
  select.seed = static_cast<uint64_t>(seed);
  return select.Validate();
}

}  // namespace hullft::coordinator
