"""Reading and writing models: gymnasium tables and the file formats that other programs use.

`mdps.io.load_model("gym:FrozenLake8x8-v1")`, `load_model("domino(8, 9/10)")` or `load_model("model.json")` reads whatever the text names;
`mdps.io.save(mdp, "model.npz")` writes the format that the file's ending asks for.
"""

from __future__ import annotations

from mdps.lazy import lazily

_HOME = {
    **dict.fromkeys(("from_gymnasium",), "gym_tables"),
    **dict.fromkeys(("load_constrained", "read_constraint", "read_costs", "write_constrained"), "costs"),
    **dict.fromkeys(("FORMATS", "load", "load_model", "save"), "formats"),
    **dict.fromkeys(("read_csv", "write_csv"), "transition_list"),
    **dict.fromkeys(("read_prism", "write_prism"), "prism"),
    **dict.fromkeys(("read_qvbs",), "qvbs"),
    **dict.fromkeys(("read_cassandra", "write_cassandra"), "cassandra"),
    **dict.fromkeys(("from_mdptoolbox", "from_quantecon", "to_mdptoolbox", "to_quantecon"), "arrays"),
    **dict.fromkeys(("from_json", "read_json", "read_npz", "to_json", "write_json", "write_npz"), "native"),
}
__all__ = sorted(_HOME)
__getattr__, __dir__ = lazily(__name__, _HOME)
