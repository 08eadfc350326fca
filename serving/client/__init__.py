"""A small client for the OMS: deadlines, retries that are safe, receipts that are checked. Needs httpx, cryptography and orjson, nothing of the service.

>>> from serving.client import Ordinance
>>> client = Ordinance("http://127.0.0.1:8000", "ord_oms_...")
"""

from serving.client.aio import AsyncOrdinance
from serving.client.answers import (
    AcceptanceDecision,
    BatchItem,
    CustomDecision,
    Decision,
    FraudDecision,
    OrderDecision,
    Proof,
    Resolution,
    SplitOrderDecision,
)
from serving.client.errors import Away, OrdinanceError, PromiseBroken, ReceiptWrong, Refused
from serving.client.sync import Ordinance

__all__ = [
    "AcceptanceDecision",
    "AsyncOrdinance",
    "Away",
    "BatchItem",
    "CustomDecision",
    "Decision",
    "FraudDecision",
    "OrderDecision",
    "Ordinance",
    "OrdinanceError",
    "PromiseBroken",
    "Proof",
    "ReceiptWrong",
    "Refused",
    "Resolution",
    "SplitOrderDecision",
]
