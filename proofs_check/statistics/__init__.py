"""Statistics for statements about sampled quantities: tests with a stated error, intervals that hold at any time, and their power.

    streams      counter-based random numbers: claim, form, instance and replication name a stream, whoever draws from it
    betting      e-processes and confidence sequences for means and probabilities of bounded variables; what they can detect
    slopes       the slope of a log-log curve over a window chosen in advance, with its interval
    claims       statements about an expectation or a probability, as data
    samplers     the sampled quantities themselves
    examination  from such a statement to its verdict

Derivations: docs/theory/sampling.md
"""
