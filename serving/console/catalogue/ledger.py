"""The log."""

from __future__ import annotations

from serving.console.catalogue.message import Message

TEXTS: dict[str, Message] = {
    "nav.ledger": Message("Ledger", "账本"),
    "ledger.title": Message("Ledger", "账本"),
    "ledger.none": Message("No log is kept here.", "此处未保存日志。"),
    "ledger.ok": Message(
        "{count} records are published, and the last check found each of them as it was recorded.",
        "已发布 {count} 条记录；最近一次校验确认每条记录均与当时一致。",
    ),
    "ledger.unchecked": Message("{count} records are published. They have not been checked yet.", "已发布 {count} 条记录，尚未校验。"),
    "ledger.wrong": Message(
        "The last check found something that is not as it was recorded. Keep the home as it is and look at what is named below.",
        "最近一次校验发现与记录不一致之处。请保持现场，并查看下方指出的内容。",
    ),
    "ledger.in_order": Message("in order", "正常"),
    "ledger.not_in_order": Message("not in order", "异常"),
    "ledger.not_checked": Message("not checked yet", "尚未校验"),
    "ledger.look": Message("worth a look", "请留意"),
    "ledger.alone": Message("no witness", "无见证方"),
    "ledger.published": Message("Published", "发布"),
    "ledger.published_ok": Message("The last checkpoint covers {count} records.", "最新检查点覆盖 {count} 条记录。"),
    "ledger.published_none": Message("Nothing has been published yet.", "尚未发布任何内容。"),
    "ledger.refused": Message("The log is not signed any more: {why}", "日志已停止签名：{why}"),
    "ledger.blind": Message("Not covered yet", "尚未覆盖"),
    "ledger.blind_ok": Message(
        "{count} records are promised and not covered by a checkpoint yet: this is how blind the log is.",
        "{count} 条记录已承诺但尚未被检查点覆盖：这就是日志的盲区。",
    ),
    "ledger.blind_late": Message(
        "{late} of {count} records that are not covered yet should be by now: their promise is broken until they are.",
        "尚未覆盖的 {count} 条记录中有 {late} 条已超过承诺时间，在被覆盖之前即为违约。",
    ),
    "ledger.verified": Message("Last check", "最近一次校验"),
    "ledger.verified_ok": Message(
        "{count} records were compared with commitments, receipts, columns, tiles and checkpoint {age} ago; all are as recorded.",
        "{age}前将 {count} 条记录与承诺值、回执、列、分块及检查点比对，全部一致。",
    ),
    "ledger.verified_none": Message(
        "Nothing has been checked yet; the first check follows within minutes.", "尚未校验，几分钟内将进行首次校验。"
    ),
    "ledger.verified_off": Message("No check is scheduled here. Run ordinance verify.", "此处未安排定期校验。请运行 ordinance verify。"),
    "ledger.whole": Message("Extent", "范围"),
    "ledger.whole_yes": Message("the whole log", "整个日志"),
    "ledger.whole_no": Message("what was new since the check before", "自上次校验以来的新增内容"),
    "ledger.took": Message("Took", "耗时"),
    "ledger.when": Message("When", "时间"),
    "ledger.witnesses": Message("Witnesses", "见证方"),
    "ledger.witnesses_none": Message(
        "Nobody else cosigns this log. Whoever holds the database, the files, the key and the mark could rewrite it unseen by all but those who hold receipts.",
        "没有其他方对本日志联署。同时掌握数据库、文件、密钥与水位标记者可改写历史，仅持有回执者能够发现。",
    ),
    "ledger.witnesses_ok": Message("{names} cosigned {count} records.", "{names} 已联署 {count} 条记录。"),
    "ledger.witnesses_bad": Message("{names} does not cosign at the moment: {why}", "{names} 目前未联署：{why}"),
    "ledger.cosigned_at": Message("{name} cosigned", "{name} 联署时间"),
    "ledger.identity": Message("Who this log is", "日志身份"),
    "ledger.origin": Message("Origin", "来源名称"),
    "ledger.key": Message("Verifier key", "验证公钥"),
    "ledger.size": Message("Records", "记录数"),
    "ledger.root": Message("Root", "根哈希"),
    "ledger.at": Message("Published", "发布时间"),
    "ledger.address": Message("Address", "地址"),
    "ledger.check": Message("Check it yourself", "自行验证"),
    "ledger.check_text": Message(
        "Nothing of this has to be believed. The log speaks published formats (c2sp.org: tlog-tiles, tlog-checkpoint, signed-note, tlog-proof), and its leaves hold no personal data, so anyone may read it without a key.",
        "这一切无需轻信。日志采用公开格式（c2sp.org：tlog-tiles、tlog-checkpoint、signed-note、tlog-proof），叶子不含个人信息，任何人无需密钥即可读取。",
    ),
    "ledger.do_home": Message("On this machine, without the service: everything against everything", "在本机、无需服务运行：全面比对"),
    "ledger.do_url": Message(
        "From anywhere: every entry, tile and the checkpoint; what was seen is remembered",
        "在任何地方：逐条核对条目、分块与检查点，并记住所见",
    ),
    "ledger.do_receipt": Message("With an answer or its receipt in a file: is the record there?", "持有响应或回执文件：记录是否在日志中？"),
    "ledger.do_witness": Message("As a witness, on a machine of your own", "作为见证方，在您自己的机器上运行"),
    "ledger.do_other": Message(
        "With other people's tools, such as the Python package aics-tlog", "使用第三方工具，例如 Python 软件包 aics-tlog"
    ),
    "ledger.limits": Message("What this does not prove", "无法证明的内容"),
    "ledger.limit_operator": Message(
        "Without a witness of somebody else, or receipts that clients keep, whoever operates the service could rewrite history.",
        "若无第三方见证，也无客户留存回执，服务运营者可以改写历史。",
    ),
    "ledger.limit_answered": Message(
        "Completeness covers what was answered: a request that was never answered has no receipt.",
        "完整性仅覆盖已答复的请求：从未答复的请求没有回执。",
    ),
    "ledger.limit_true": Message(
        "The log proves what was recorded and when it was promised, not that what was recorded is true.",
        "日志证明记录的内容与承诺时间，并不证明所记录的内容属实。",
    ),
}
