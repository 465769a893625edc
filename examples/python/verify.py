"""Judges a recorded attestation answer without network and prints the report.

    python verify.py RESPONSE NONCE_HEX UNIX_SECONDS COLLATERAL... [--trust-roots FILE] [--json]

Exit status: 0 verified, 3 refused, 4 indeterminate.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import proveil


def main() -> int:
    parser = argparse.ArgumentParser(description="Judge a recorded attestation answer.")
    parser.add_argument("response", type=Path)
    parser.add_argument("nonce")
    parser.add_argument("at", type=int)
    parser.add_argument("collateral", type=Path, nargs="*")
    parser.add_argument("--trust-roots", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    roots = options.trust_roots and proveil.TrustRoots.from_json(options.trust_roots.read_text())
    report = proveil.verify(
        "venice",
        None,
        evidence=options.response.read_bytes(),
        nonce=options.nonce,
        collateral=[path.read_bytes() for path in options.collateral],
        at=options.at,
        trust_roots=roots,
    )
    print(report.to_json() if options.json else report.to_text())
    return {"verified": 0, "refused": 3, "indeterminate": 4}[report.verdict]


if __name__ == "__main__":
    sys.exit(main())
