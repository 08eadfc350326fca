"""Why a person decides otherwise: the closed list of reason codes of overrides, with texts."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

OTHER: Final = "OTHER"
"""The only code that needs a note."""

REASONS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "CUSTOMER_VERIFIED": {"en": "The customer was reached and confirmed the order", "zh": "已联系客户并确认订单"},
        "CUSTOMER_TRUSTED": {"en": "The customer is known and trusted", "zh": "客户信誉良好"},
        "CUSTOMER_REQUEST": {"en": "The customer asked for it", "zh": "应客户要求"},
        "PAYMENT_CONFIRMED": {"en": "The payment was confirmed with the bank or provider", "zh": "已与银行或支付机构确认付款"},
        "ADDRESS_CONFIRMED": {"en": "The address was confirmed", "zh": "地址已核实"},
        "DOCUMENTS_CHECKED": {"en": "Documents were checked, such as identity or customs papers", "zh": "已核验证件或清关文件"},
        "STOCK_CONFIRMED": {"en": "Stock was confirmed with the warehouse", "zh": "已与仓库确认库存"},
        "SUPPLIER_CONFIRMED": {"en": "The supplier confirmed the delivery", "zh": "供应商已确认交付"},
        "STOCK_UNAVAILABLE": {"en": "The goods cannot be had in time", "zh": "商品无法按时到货"},
        "CANNOT_DELIVER": {"en": "The address cannot be delivered to in time", "zh": "无法按时送达该地址"},
        "FRAUD_CONFIRMED": {"en": "Fraud was confirmed", "zh": "已确认欺诈"},
        "FRAUD_SUSPECTED": {"en": "A look at the case points to fraud", "zh": "人工判断疑似欺诈"},
        "ABUSE_PATTERN": {"en": "Hoarding, scalping or abuse of a promotion", "zh": "囤货、黄牛或滥用优惠"},
        "MODEL_MISTAKEN": {"en": "The model missed or misread something", "zh": "模型判断有误"},
        "DATA_WRONG": {"en": "What was known about the order was wrong or out of date", "zh": "订单相关数据有误或已过期"},
        "BUSINESS_EXCEPTION": {"en": "An exception granted for business reasons", "zh": "业务特批"},
        "LEGAL": {"en": "Required by law or by an authority", "zh": "法律或监管要求"},
        OTHER: {"en": "Another reason, given in the note", "zh": "其他原因（见备注）"},
    }
)
"""Texts by code, in the order in which they are offered."""

EXPIRED: Final[Mapping[str, str]] = MappingProxyType({"en": "Nobody decided in time", "zh": "到期无人处理"})
"""What is said of an outcome that the clock made."""


def reason_text(code: str | None) -> Mapping[str, str]:
    """The text of a code; that of the clock where there is none."""
    return EXPIRED if code is None else REASONS.get(code, {"en": code, "zh": code})
