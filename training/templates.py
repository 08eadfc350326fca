"""What a business user can train."""

from __future__ import annotations

from feature_store.columns import Kind
from feature_store.problems import DataProblem, DataRefused
from feature_store.schema import ColumnRule, Template
from feature_store.wording import told
from models.specs import SPECS, DecisionType

CUSTOM = Template(
    name="custom",
    type=None,
    title={"en": "A decision of your own", "zh": "自定义决策"},
    description={
        "en": "Any table with a column that says what happened. Its other columns become the fields of a new decision endpoint.",
        "zh": "任何包含结果列的表格。其余各列将成为新决策接口的字段。",
    },
)

_BUILT_IN = {
    DecisionType.ACCEPTANCE: (
        {"en": "Order acceptance", "zh": "订单接受"},
        {"en": "Will an accepted order be late, cancelled by us or returned?", "zh": "接受的订单是否会延迟、被我方取消或退货？"},
    ),
    DecisionType.FRAUD: (
        {"en": "Fraud", "zh": "欺诈"},
        {"en": "Is an order fraudulent?", "zh": "订单是否为欺诈？"},
    ),
    DecisionType.SPLIT_ORDER: (
        {"en": "Lateness of a lane", "zh": "线路延迟"},
        {"en": "Will a shipment from a node to a region be late?", "zh": "从某节点发往某区域的包裹是否会延迟？"},
    ),
}


def built_in(kind: DecisionType) -> Template:
    """The template of a built-in type: one row an order (or shipment), with the features of its service by name.

    Such a file comes out of the feature store: its columns were computed point in time, so that none can know the outcome.
    """
    from feature_store.views import SERVICES

    title, description = _BUILT_IN[kind]
    rules = [ColumnRule(name, Kind.NUMBER) for name in SERVICES[kind.value].names]
    rules += [ColumnRule("decided_at", Kind.TIME, filled=True), ColumnRule("label_known_at", Kind.TIME, required=False)]
    rules += [ColumnRule("label", Kind.INTEGER, minimum=0, maximum=1), ColumnRule("group", Kind.CATEGORY, required=False)]
    return Template(
        name=kind.value,
        type=kind.value,
        title=title,
        description=description,
        event=SPECS[kind.value].event,
        target="label",
        time="decided_at",
        known_at="label_known_at",
        group="group",
        rules=tuple(rules),
        open=False,
        trusted=True,
    )


def names() -> tuple[str, ...]:
    """The names of all templates."""
    return (CUSTOM.name, *(kind.value for kind in DecisionType))


def find(name: str) -> Template:
    """The template of that name.

    Raises:
        DataRefused: there is none.
    """
    if name == CUSTOM.name:
        return CUSTOM
    if name not in set(DecisionType):
        fix = told("unknown_template.fix", names=", ".join(names()))
        problem = DataProblem("unknown_template", ("template",), told("unknown_template", name=name), fix=fix)
        raise DataRefused([problem])
    return built_in(DecisionType(name))
