"""What a file's check says, in English and in Chinese side by side, so that neither can be forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self


class Text(str):
    """An English sentence that carries its Chinese along; wherever a string is wanted it is the English one."""

    __slots__ = ("zh",)
    zh: str

    def __new__(cls, en: str, zh: str) -> Self:
        """Join the two."""
        text = super().__new__(cls, en)
        text.zh = zh
        return text

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]
        """For pickle and copy."""
        return str(self), self.zh

    def swapped(self, placeholder: str, en: str, zh: str | None = None) -> Text:
        """With a placeholder replaced in both."""
        return Text(self.replace(placeholder, en), self.zh.replace(placeholder, en if zh is None else zh))

    def then(self, other: str) -> Text:
        """Followed by another sentence."""
        if not other:
            return self
        return Text(f"{self} {other}" if self else str(other), self.zh + chinese(other))


def chinese(text: str) -> str:
    """The Chinese of a text; what has none is told as it is."""
    return text.zh if isinstance(text, Text) else text


def told(key: str, /, **values: object) -> Text:
    """One sentence of :data:`SENTENCES`, filled in.

    A value that is a :class:`Text` itself stands in each language as that language has it.

    Raises:
        KeyError: no such sentence, or a value is missing.
    """
    en, zh = SENTENCES[key]
    return Text(
        en.format(**values), zh.format(**{name: chinese(value) if isinstance(value, str) else value for name, value in values.items()})
    )


SENTENCES: Mapping[str, tuple[str, str]] = {
    # The file and its columns.
    "too_few_rows": ("The file has {observed} rows; at least {least} are needed to learn and to judge.", "文件只有 {observed} 行；学习和检验至少需要 {least} 行。"),
    "too_few_rows.fix": ("Add rows.", "请增加数据行。"),
    "missing_column": ("There is no column {column!r}.", "没有“{column}”列。"),
    "missing_column.near": ("Did you mean {near!r}?", "是否指“{near}”？"),
    "missing_column.fix": ("The file has: {columns}.", "文件中有：{columns}。"),
    "no_such_kind": ("{value} in {column!r} is no {kind}.", "“{column}”中的 {value} 不是{kind}。"),
    "kind.time": ("time", "时间"),
    "kind.number": ("number", "数值"),
    "kind.integer": ("integer", "整数"),
    "kind.category": ("category", "类别"),
    "kind.boolean": ("boolean", "是/否值"),
    "kind.empty": ("value", "取值"),
    "no_such_kind.fix": ("Fill it, or delete the row.", "请填写，或删除该行。"),
    "no_time.fix": ("Write it like 2026-11-11 or 2026-11-11T08:30:00Z, or delete the row.", "请写成 2026-11-11 或 2026-11-11T08:30:00Z，或删除该行。"),
    "no_time.seen": ("Most of the column reads as {format}.", "该列大多为 {format} 格式。"),
    "out_of_range": ("{value} in {column!r} is out of range: {span}.", "“{column}”中的 {value} 超出范围：{span}。"),
    "span.both": ("from {low} to {high}", "{low} 至 {high}"),
    "span.low": ("at least {low}", "至少 {low}"),
    "span.high": ("at most {high}", "至多 {high}"),
    "out_of_range.fix": ("Correct the value, or delete the row.", "请更正取值，或删除该行。"),
    "not_allowed": ("{value} in {column!r} is none of {allowed}.", "“{column}”中的 {value} 不在允许值之内：{allowed}。"),
    "not_allowed.fix": ("Use one of these.", "请使用其中之一。"),
    "not_unique": ("{value} in {column!r} occurs more than once.", "“{column}”中的 {value} 出现多次。"),
    "not_unique.fix": ("Keep one of the rows.", "请只保留其中一行。"),
    "read_as_missing": ("{count:,} cells of {column!r} hold no {kind} ({common}): they count as missing.", "“{column}”有 {count:,} 个单元格不是{kind}（{common}）：按缺失处理。"),
    "read_as_missing.fix": ("Nothing to do, if that is what they mean.", "如果原意如此，则无需处理。"),
    "read_as_missing.any": (
        "More than {most} different ones: the model will take any text in this column for missing, a slip of the pen too.",
        "不同写法超过 {most} 种：模型会把该列中的任何文本都视为缺失，包括笔误。",
    ),
    "read_as_missing.any.fix": ("Empty these cells if slips should be refused.", "如果希望拒绝笔误，请清空这些单元格。"),
    "no_features": ("No column is left to learn from.", "没有可供学习的列。"),
    "no_features.fix": ("Add columns that describe the case, or keep one that was left out.", "请增加描述案例的列，或保留一个被排除的列。"),
    # What stays out.
    "excluded_by_user": ("Left out by the user.", "由用户排除。"),
    "kept_by_user": ("It is used because the user wants it.", "按用户要求使用该列。"),
    "group": ("It names the {groups:,} groups of rows; a name is no cause.", "它只是 {groups:,} 组数据行的名称；名称不是原因。"),
    "group_found": (
        "Rows with the same {column!r} share one outcome ({agreement:.1%} of the groups): no group is split between training and test.",
        "“{column}”相同的行结果一致（占 {agreement:.1%} 的分组）：同组数据不会分到训练与检验两边。",
    ),
    "empty_column": ("It holds no values.", "没有取值。"),
    "constant": ("It holds one value only ({value!r}).", "只有一个取值（“{value}”）。"),
    "identifier": ("It is an identifier: {distinct:,} different values in {rows:,} rows.", "它是标识符：{rows:,} 行中有 {distinct:,} 个不同取值。"),
    "values_never_return": (
        "Its values do not come back: {unseen:.0%} of the newest rows hold one never seen before.",
        "取值不重复出现：最新数据中 {unseen:.0%} 的行含有从未见过的取值。",
    ),
    "leakage.fix": ("It is left out. Keep it only if it is known when the decision is made.", "已排除。只有在决策时已知该列，才应保留。"),
    "named_like_outcome": ("Its name speaks of an outcome. Leave it out unless it is known before {target!r} is.", "列名像是结果。除非在“{target}”之前已知，否则请排除。"),
    "dated_by_outcome": (
        "How far it lies from {time!r} tells {target!r} {how_well}: it lies after it in {after:.0%} of the rows, and is known only once the outcome is.",
        "它与“{time}”的间隔{how_well}说明“{target}”：{after:.0%} 的行中晚于后者，结果出现后才会知道。",
    ),
    "dated_by_outcome.pair": (
        "Its distance to {time!r} tells {target!r} {how_well}: it is known only once the outcome is.",
        "它与“{time}”的间隔{how_well}说明“{target}”：结果出现后才会知道。",
    ),
    "determines_target": ("It alone tells {target!r} {how_well}: too good to be known beforehand.", "仅凭该列就{how_well}说明“{target}”：事先不可能知道。"),
    "suspicious": (
        "It alone tells {target!r} {how_well}. Keep it only if it is known when the decision is made.",
        "仅凭该列就{how_well}说明“{target}”。只有在决策时已知该列，才应保留。",
    ),
    "how_well.almost": ("almost perfectly ({measure} {value:.3f})", "几乎完美地（{measure} {value:.3f}）"),
    "how_well.very": ("very well ({measure} {value:.3f})", "很好地（{measure} {value:.3f}）"),
    "filled_by_outcome": (
        "It is {state} only where {target!r} is {value!r} ({purity:.1%} of {rows:,} rows): it follows from the outcome.",
        "只有“{target}”为“{value}”时它才{state}（{rows:,} 行中占 {purity:.1%}）：它由结果产生。",
    ),
    "state.filled": ("filled", "有值"),
    "state.empty": ("empty", "为空"),
    # The target.
    "empty_target": ("The target {column!r} holds no values.", "预测列“{column}”没有取值。"),
    "empty_target.fix": ("Choose the column that says what happened.", "请选择记录结果的列。"),
    "time_target": ("The target {column!r} holds times.", "预测列“{column}”是时间。"),
    "time_target.fix": (
        "Choose a column that holds classes or numbers; of two times take the difference in a column of its own.",
        "请选择类别或数值列；两个时间之差请另设一列。",
    ),
    "target_missing": ("{count:,} rows have no value in the target {column!r}: they are left out.", "预测列“{column}”有 {count:,} 行没有取值：已排除这些行。"),
    "target_missing.fix": ("Nothing to do, if their outcome is not known yet.", "如果结果尚未可知，则无需处理。"),
    "one_class_target": (
        "Every row has the same value in the target {column!r} ({value!r}): there is nothing to tell apart.",
        "预测列“{column}”的所有行取值相同（“{value}”）：没有可区分的内容。",
    ),
    "one_class_target.fix": ("Add rows with another outcome, or choose another column.", "请增加其他结果的数据行，或选择其他列。"),
    "too_many_classes": (
        "The target {column!r} has {count:,} different values; at most {most} classes can be told apart.",
        "预测列“{column}”有 {count:,} 个不同取值；最多可区分 {most} 个类别。",
    ),
    "too_many_classes.fix": ("Choose a column with fewer classes, or join rare ones.", "请选择类别较少的列，或合并罕见类别。"),
    "too_few_of_class": (
        "Too few rows of {classes} in the target {column!r}; at least {least} of each class are needed.",
        "预测列“{column}”中 {classes} 的行数太少；每个类别至少需要 {least} 行。",
    ),
    "too_few_of_class.fix": ("Add rows of it, or join it with another class.", "请增加该类别的数据行，或与其他类别合并。"),
    # What is asked for.
    "unknown_dataset": ("There is no dataset {dataset_id!r}.", "没有数据集“{dataset_id}”。"),
    "unknown_dataset.fix": ("Upload the file first.", "请先上传文件。"),
    "unknown_template": ("There is no template {name!r}.", "没有模板“{name}”。"),
    "unknown_template.fix": ("Use one of {names}.", "请使用其中之一：{names}。"),
    "no_target": ("No target column is chosen.", "尚未选择预测列。"),
    "bad_name": (
        "A model cannot be called {name!r}: use up to 63 lower-case letters, digits and dashes, beginning with a letter.",
        "模型不能命名为“{name}”：请使用最多 63 个小写字母、数字和短横线，并以字母开头。",
    ),
    "bad_name.reserved": ("{name!r} is part of the API's own paths; choose another name.", "“{name}”是接口自身路径的一部分；请另选名称。"),
    "bad_name.built_in": ("{name!r} is a built-in decision type; choose another name.", "“{name}”是内置决策类型；请另选名称。"),
    "bad_name.template": (
        "{name!r} is a built-in decision type; train it with its template, or choose another name.",
        "“{name}”是内置决策类型；请使用其模板训练，或另选名称。",
    ),
    "bad_name.other_type": (
        "The versions of {name!r} answer {type!r}, not {kind!r}; choose another name.",
        "“{name}”的各版本用于“{type}”，而不是“{kind}”；请另选名称。",
    ),
    "dataset_missing": ("The stored file of dataset {dataset_id} cannot be read ({error}).", "无法读取数据集 {dataset_id} 的已存文件（{error}）。"),
    "dataset_damaged": (
        "The stored file is not the one that was accepted: its SHA-256 differs.",
        "已存文件与当初接收的不一致：SHA-256 不同。",
    ),
    "dataset_damaged.size": ("The stored file has {size:,} bytes instead of {expected:,}.", "已存文件为 {size:,} 字节，应为 {expected:,} 字节。"),
    "upload_again.fix": ("Upload it again.", "请重新上传。"),
    "too_few_to_calibrate": (
        "Too few rows to calibrate: {count:,} could be set aside for it.",
        "可用于校准的行数太少：只能留出 {count:,} 行。",
    ),
    "one_class_to_calibrate": (
        "All {count:,} rows that are set aside to calibrate have the same outcome.",
        "留作校准的 {count:,} 行结果全部相同。",
    ),
    "not_launched": (
        "The training could not be started: no process took it. Try again in a moment.",
        "训练未能启动：没有进程接手。请稍后重试。",
    ),
    # Files that are no table.
    "too_large": ("The file has more than {mib:,.0f} MiB.", "文件超过 {mib:,.0f} MiB。"),
    "too_large.fix": ("Upload fewer rows (the newest ones say most) or leave columns out.", "请减少行数（最新的数据最有用）或删减列。"),
    "broken_archive": ("The gzip archive is damaged or cut off ({error}).", "gzip 压缩包已损坏或不完整（{error}）。"),
    "broken_archive.fix": ("Pack or transfer the file again.", "请重新压缩或传输文件。"),
    "unreadable_encoding": (
        "The text cannot be read: byte 0x{byte:02x} is not {encoding}, and no other encoding fits the whole file.",
        "无法读取文本：字节 0x{byte:02x} 不符合 {encoding}，也没有其他编码适用于整个文件。",
    ),
    "save_as": ("Save it as “CSV UTF-8” and upload that.", "请另存为“CSV UTF-8”后再上传。"),
    "empty_file": ("The file is empty.", "文件为空。"),
    "empty_file.fix": ("Upload a CSV with a header row and data below it.", "请上传含有表头和数据的 CSV。"),
    "not_text": ("This is {kind}, not a CSV.", "这不是 CSV，而是{kind}。"),
    "kind_of_file.binary": ("a binary file", "二进制文件"),
    "no_header": ("The first row holds values, not names of columns.", "第一行是数值，不是列名。"),
    "no_header.fix": ("Put the names of the columns into the first row.", "请把列名写在第一行。"),
    "empty_header": ("Column {position} ({letters}) has no name.", "第 {position} 列（{letters}）没有名称。"),
    "empty_header.fix": ("Name it, or delete the column.", "请命名，或删除该列。"),
    "duplicate_header": (
        "The name {name!r} stands over columns {first} ({first_letters}) and {position} ({letters}).",
        "列名“{name}”重复：第 {first} 列（{first_letters}）与第 {position} 列（{letters}）。",
    ),
    "duplicate_header.fix": ("Rename or delete one of the two.", "请重命名或删除其中一列。"),
    "too_many_columns": ("{count:,} columns; at most {most:,}.", "共 {count:,} 列；最多 {most:,} 列。"),
    "too_many_columns.fix": ("Leave columns out that do not bear on the decision.", "请删去与决策无关的列。"),
    "too_many_rows": ("More than {most:,} rows.", "超过 {most:,} 行。"),
    "too_many_rows.fix": ("Keep the newest rows.", "请保留最新的数据行。"),
    "broken_record": ("The record cannot be read: {error}.", "无法读取该记录：{error}。"),
    "broken_record.fix": (
        'Check the quotes in this row: a quote inside a quoted field is written twice ("").',
        '请检查该行的引号：引号字段内的引号要写两次（""）。',
    ),
    "no_rows": ("There is a header, but no row below it.", "只有表头，没有数据行。"),
    "no_rows.fix": ("Put the data below the header.", "请在表头下方填写数据。"),
    "ragged_rows": (
        "{count:,} rows have another number of fields than the header; the first {listed} are listed.",
        "有 {count:,} 行的字段数与表头不同；列出前 {listed} 行。",
    ),
    "ragged_rows.fix": ("Export the file again.", "请重新导出文件。"),
    "ragged_row.more": (
        "This row has {found} fields, the header {expected}: a separator too many, or an unquoted one inside a text.",
        "该行有 {found} 个字段，表头有 {expected} 个：多了分隔符，或文本中的分隔符未加引号。",
    ),
    "ragged_row.one": (
        "This row has 1 field, the header {expected}: a separator is missing, or the line was cut.",
        "该行只有 1 个字段，表头有 {expected} 个：缺少分隔符，或该行被截断。",
    ),
    "ragged_row.fewer": (
        "This row has {found} fields, the header {expected}: a separator is missing, or the line was cut.",
        "该行有 {found} 个字段，表头有 {expected} 个：缺少分隔符，或该行被截断。",
    ),
    "ragged_row.fix": ("Correct the row, or quote the text that holds the separator.", "请更正该行，或给含分隔符的文本加引号。"),
}  # fmt: skip
"""English and Chinese by key, the same values in both; those of a problem are named like its code."""
