"""Checkers of verifiable instructions, a family a file. `registry` knows them by their ids;
`runners.judges.ifeval` judges with them.

The instructions are those of IFEval (Zhou et al., arXiv 2311.07911) and M-IFEval (Dussolle et al., arXiv
2502.04688). Where the published checkers of M-IFEval decide what a sentence leaves open, they are followed,
so that accuracies can be compared. Where they stray from their own instruction, it is followed, unless the
spec names the benchmark: `registry.AS_PUBLISHED` then has their rule.
"""
