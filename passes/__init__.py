"""Passes, reached as `codesign.passes`; the compiler finds them by name in its plugin table."""

if __name__ != "codesign.passes":
    raise ImportError("import this package as codesign.passes, not as passes")

TABLE = {
    "assign-bits": "quantize.assign_bits:AssignBits",
    "binarize": "binarize.binarize:Binarize",
    "canonicalize": "simplify.canonicalize:Canonicalize",
    "common-subexpressions": "simplify.common_subexpressions:CommonSubexpressions",
    "dead-code": "simplify.dead_code:DeadCode",
    "factorize-svd": "factorize.factorize_svd:FactorizeSvd",
    "factorize-tt": "factorize.factorize_tt:FactorizeTt",
    "fold-batch-norm": "simplify.fold_batch_norm:FoldBatchNorm",
    "fold-constants": "simplify.fold_constants:FoldConstants",
    "layout": "place.layout:Layout",
    "prune-magnitude": "prune.prune_magnitude:PruneMagnitude",
    "quantize-int8": "quantize.quantize_int8:QuantizeInt8",
    "recover": "recover.recover:Recover",
    "place": "place.place:Place",
}
