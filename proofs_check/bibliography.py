"""Who wrote what: the sources of the catalogue's claims by key, as short citations.  Full references: docs/references.md"""

from __future__ import annotations

CITATIONS = {
    "agarwal2021theory": "Agarwal, Kakade, Lee, Mahajan (2021)",
    "cen2022fast": "Cen, Cheng, Chen, Wei, Chi (2022)",
    "howard1960dynamic": "Howard (1960)",
    "kakade2002approximately": "Kakade, Langford (2002)",
    "liu2024elementary": "Liu, Li, Wei (2024)",
    "mei2020global": "Mei, Xiao, Szepesvari, Schuurmans (2020)",
    "sutton2000policy": "Sutton, McAllester, Singh, Mansour (2000)",
}
