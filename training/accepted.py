"""Accepted files as records: what was taken in, by its digest, and by whom."""

from __future__ import annotations

from sqlalchemy import Connection

from feature_store.datasets import Also, Dataset
from governance.changes import Scribe
from governance.ledger.record import Kind


def recording(scribe: Scribe) -> Also:
    """What :func:`feature_store.datasets.note` is to write besides: the record of the acceptance."""

    def write(connection: Connection, dataset: Dataset) -> None:
        digest = f"sha256:{dataset.sha256}"
        change = {
            "dataset_id": dataset.dataset_id,
            "sha256": dataset.sha256,
            "name": dataset.name,
            "template": dataset.template,
            "rows": dataset.rows,
            "bytes": dataset.bytes,
            "columns": len(dataset.columns),
        }
        scribe.record(
            connection, Kind.DATASET_ACCEPTED, change, principal=dataset.uploaded_by, at=dataset.uploaded_at, digests={"dataset": digest}
        )

    return write
