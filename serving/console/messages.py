"""Every fixed text of the pages in both languages, side by side so that neither can be forgotten."""

from __future__ import annotations

from typing import NamedTuple

from serving.console.reference_words import WORDS


class Message(NamedTuple):
    """One text; ``{names}`` are filled in, the same ones in both languages."""

    en: str
    zh: str


class MessageUnknown(KeyError):
    """A key that the catalogue does not hold."""


def say(language: str, key: str, /, **values: object) -> str:
    """The text of a key in a language, filled in.

    Raises:
        MessageUnknown: no such key, or a value is missing.
    """
    try:
        message = CATALOGUE[key]
        return (message.zh if language == "zh" else message.en).format(**values)
    except KeyError as error:
        raise MessageUnknown(key) from error


def say_or(language: str, key: str, otherwise: str) -> str:
    """The text of a key, or another where the catalogue has none: for words that users bring along, such as a custom type's name."""
    message = CATALOGUE.get(key)
    if message is None:
        return otherwise
    return message.zh if language == "zh" else message.en


_M = Message

_FRAME = {
    "brand": _M("Ordinance", "Ordinance"),
    "skip": _M("Skip to the content", "跳到正文"),
    "nav.main": _M("Main", "主导航"),
    "nav.decisions": _M("Decisions", "决策"),
    "nav.train": _M("Train", "训练"),
    "nav.models": _M("Models", "模型"),
    "nav.language": _M("中文", "English"),
    "nav.search": _M("Find an order", "查找订单"),
    "nav.search_hint": _M("Order number", "订单号"),
    "nav.sign_out": _M("Sign out", "退出"),
    "nav.path": _M("Path to this page", "页面路径"),
    "role.oms": _M("OMS", "OMS 系统"),
    "role.auditor": _M("Auditor", "审计员"),
    "role.reviewer": _M("Reviewer", "复核员"),
    "role.trainer": _M("Trainer", "训练员"),
    "role.policy_owner": _M("Policy owner", "策略负责人"),
    "role.approver": _M("Approver", "审批人"),
    "role.admin": _M("Administrator", "管理员"),
    "none": _M("none", "无"),
}

_LOGIN = {
    "login.title": _M("Sign in", "登录"),
    "login.intro": _M(
        "Decisions that can be explained, repeated and proved. Sign in with an API key of your role.",
        "可解释、可重放、可证明的决策。请使用您角色的 API 密钥登录。",
    ),
    "login.key": _M("API key", "API 密钥"),
    "login.key_hint": _M(
        "Starts with ord_. On this machine: ordinance keys create --role auditor",
        "以 ord_ 开头。在本机运行：ordinance keys create --role auditor",
    ),
    "login.submit": _M("Sign in", "登录"),
    "login.wrong": _M(
        "This key is not known, or it was revoked. Check that you copied all of it, or ask an administrator for a new one.",
        "该密钥不存在或已被吊销。请检查是否完整复制，或向管理员索取新密钥。",
    ),
    "login.link_used": _M(
        "This login link has been used or is too old: each works once. Sign in with a key, or make a new link.",
        "该登录链接已使用或已过期：每个链接只能使用一次。请使用密钥登录，或生成新的链接。",
    ),
    "login.stale": _M("The page had been open for too long. Please sign in again.", "页面打开时间过长，请重新登录。"),
    "login.done": _M("You are signed in", "您已登录"),
    "login.go_on": _M("Go on", "继续"),
}

_WORDS = {
    "type.acceptance": _M("Acceptance", "接单"),
    "type.fraud": _M("Fraud", "欺诈"),
    "type.split-order": _M("Split", "拆单"),
    "type.order_decision": _M("Whole order", "整单"),
    "outcome.PROCEED": _M("Proceed", "继续"),
    "outcome.STOP": _M("Stop", "中止"),
    "outcome.ACCEPT": _M("Accept", "接受"),
    "outcome.ACCEPT_PARTIAL": _M("Accept in part", "部分接受"),
    "outcome.HOLD": _M("Hold", "暂缓"),
    "outcome.REJECT": _M("Reject", "拒绝"),
    "outcome.ALLOW": _M("Allow", "放行"),
    "outcome.REVIEW": _M("Review", "复核"),
    "outcome.BLOCK": _M("Block", "拦截"),
    "outcome.PLANNED": _M("Planned", "已规划"),
    "outcome.PARTIAL": _M("Planned in part", "部分规划"),
    "outcome.UNFULFILLABLE": _M("Cannot be fulfilled", "无法履约"),
    "status.decided": _M("Decided", "已决策"),
    "status.fallback": _M("Fallback", "降级"),
    "status.abstained": _M("Abstained", "弃权"),
    "role_of_model.champion": _M("champion", "主用"),
    "role_of_model.challenger": _M("challenger", "挑战者"),
    "role_of_model.shadow": _M("shadow", "影子"),
    "event.fulfilment_failure": _M("Risk of failed fulfilment", "履约失败风险"),
    "event.fraud": _M("Risk of fraud", "欺诈风险"),
    "event.late": _M("Risk of being late", "迟到风险"),
    "event.other": _M("Probability of {event}", "{event} 的概率"),
    "region.north": _M("North", "华北"),
    "region.east": _M("East", "华东"),
    "region.south": _M("South", "华南"),
    "region.west": _M("West", "西部"),
    "region.central": _M("Central", "华中"),
    "region.northeast": _M("Northeast", "东北"),
    "region.southwest": _M("Southwest", "西南"),
    "region.northwest": _M("Northwest", "西北"),
    "origin.store": _M("stored", "特征库"),
    "origin.request": _M("in the request", "请求"),
    "origin.default": _M("never seen", "未见过"),
}

_VERDICTS = {
    "verdict.acceptance.ACCEPT": _M("Can be kept", "可以履约"),
    "verdict.acceptance.ACCEPT_PARTIAL": _M("Can be kept in part", "可以部分履约"),
    "verdict.acceptance.HOLD": _M("Likely to miss its promise", "可能无法兑现承诺"),
    "verdict.acceptance.REJECT": _M("Cannot keep its promise", "无法兑现承诺"),
    "verdict.fraud.ALLOW": _M("Looks honest", "看起来正常"),
    "verdict.fraud.REVIEW": _M("Needs a second look", "需要人工复核"),
    "verdict.fraud.BLOCK": _M("Looks like fraud", "疑似欺诈"),
    "verdict.split-order.PLANNED": _M("The cheapest plan that keeps every constraint", "满足全部约束的最低成本方案"),
    "verdict.split-order.PARTIAL": _M("Part of it can be shipped", "只能发运一部分"),
    "verdict.split-order.UNFULFILLABLE": _M("No node can ship it within the constraints", "没有节点能在约束内发运"),
    "verdict.order_decision.PROCEED": _M("May go ahead", "可以继续"),
    "verdict.order_decision.HOLD": _M("Waits for a person", "等待人工处理"),
    "verdict.order_decision.STOP": _M("Must not go ahead", "不得继续"),
    "verdict.custom": _M("{event} is predicted", "预测为 {event}"),
    "verdict.custom.REVIEW": _M("Too uncertain to decide alone", "不确定性过高，需要人工判断"),
    "verdict.fallback": _M("Decided by the policy's fallback", "由策略的降级规则决定"),
    "verdict.abstained": _M("Too uncertain to decide alone", "不确定性过高，需要人工判断"),
    "verdict.shipments.one": _M("one shipment from {nodes}", "由 {nodes} 一次发运"),
    "verdict.shipments.many": _M("{count} shipments from {nodes}", "由 {nodes} 分 {count} 次发运"),
}

_DECISION = {
    "decision.title": _M("{type}: {outcome}", "{type}：{outcome}"),
    "decision.title_order": _M("{type} of {order}: {outcome}", "{order} 的{type}：{outcome}"),
    "decision.order": _M("Order {order}", "订单 {order}"),
    "decision.decided_by": _M("Decided by", "决策依据"),
    "decision.no_model": _M("no model: rules only", "无模型：仅规则"),
    "decision.policy_version": _M("policy {id} v{version}", "策略 {id} v{version}"),
    "decision.no_policy": _M("no policy", "无策略"),
    "decision.review": _M("Review", "复核"),
    "decision.review_queue": _M("{queue} queue", "{queue} 队列"),
    "decision.review_due": _M("due {due}, then {outcome}", "{due} 前处理，否则{outcome}"),
    "decision.speed": _M("Answered in", "响应时间"),
    "decision.speed_note": _M("until the answer was ready to be recorded", "至答案可写入记录为止"),
    "decision.ms": _M("{ms} ms", "{ms} 毫秒"),
    "decision.proof": _M("Record", "记录"),
    "decision.proof_promised": _M("Signed and stored", "已签名并存储"),
    "decision.proof_sequenced": _M("In the ledger, entry {index}", "已入账，第 {index} 条"),
    "decision.proof_note": _M("receipt signed by {key}", "收据由 {key} 签名"),
    "decision.loss": _M("Expected loss", "预期损失"),
    "decision.promise": _M("Delivery promise", "交付承诺"),
    "decision.promise_note": _M("{p90} at the latest, in 9 of 10 cases", "十有其九不晚于 {p90}"),
    "decision.cost": _M("Cost of the plan", "方案成本"),
    "decision.cost_note": _M("all terms together", "各项合计"),
    "decision.why": _M("Why", "原因"),
    "decision.why_hint": _M("from the usual {base} to {now}", "从通常的 {base} 到 {now}"),
    "decision.usual_order": _M("Usual order", "通常的订单"),
    "decision.usual_row": _M("Usual row", "通常的情况"),
    "decision.this_order": _M("This order", "本订单"),
    "decision.this_row": _M("This row", "本条数据"),
    "decision.more_features": _M("{count} more features", "其余 {count} 个特征"),
    "decision.value_usual": _M("{value}, usual {usual}", "{value}，通常 {usual}"),
    "decision.value_old": _M("{age} old", "{age}前"),
    "decision.waterfall_logit": _M(
        "Contributions are exact SHAP values in log-odds; base {base} and contributions add up to the margin {margin}.",
        "贡献为对数几率下的精确 SHAP 值；基准 {base} 与各贡献之和等于边际值 {margin}。",
    ),
    "decision.waterfall_identity": _M(
        "Contributions are exact SHAP values in the predicted unit; base {base} and contributions add up to {margin}.",
        "贡献为预测单位下的精确 SHAP 值；基准 {base} 与各贡献之和等于 {margin}。",
    ),
    "decision.waterfall_calibrated": _M(
        "Calibration turns the model's {raw} into {calibrated}.", "校准后，模型的 {raw} 变为 {calibrated}。"
    ),
    "decision.no_waterfall": _M("No model was asked, so there are no contributions.", "未调用模型，因此没有贡献值。"),
    "decision.reasons": _M("Reasons as told", "对外理由"),
    "decision.reasons_none": _M("No reason was given.", "未给出理由。"),
    "decision.part": _M("{type}: {outcome}", "{type}：{outcome}"),
    "decision.precedence": _M("the first line that applies decides", "由首个适用的规则决定"),
    "decision.unopposed": _M("nothing objected", "无异议"),
    "decision.short": _M("{label}: {value}", "{label} {value}"),
    "decision.short_usual": _M("{label}: {value}, usually {usual}", "{label} {value}（通常 {usual}）"),
    "decision.snapshot": _M("What was known", "当时已知"),
    "decision.snapshot_hint": _M("{count} features, definitions {version}", "{count} 个特征，定义版本 {version}"),
    "decision.col_feature": _M("Feature", "特征"),
    "decision.col_value": _M("Value", "取值"),
    "decision.col_usual": _M("Usual", "通常"),
    "decision.col_contribution": _M("Contribution", "贡献"),
    "decision.col_origin": _M("From", "来源"),
    "decision.col_age": _M("Age", "时效"),
    "decision.policy": _M("Policy", "策略"),
    "decision.policy_hint": _M("v{version}, {count} checks, {hard} hard", "v{version}，{count} 项检查，{hard} 项硬约束"),
    "decision.policy_none": _M("No rule was evaluated.", "未评估任何规则。"),
    "decision.policy_hard": _M("hard", "硬约束"),
    "decision.policy_passed": _M("passed", "通过"),
    "decision.policy_ruled_out": _M("ruled out", "已排除"),
    "decision.policy_failed": _M("not met", "未通过"),
    "decision.policy_idle": _M("did not apply", "未触发"),
    "decision.policy_matched": _M("matched", "命中"),
    "decision.timeline": _M("The order", "订单"),
    "decision.placed": _M("Order placed", "下单"),
    "decision.lines.one": _M("{count} line, {total}", "{count} 行，{total}"),
    "decision.lines.many": _M("{count} lines, {total}", "{count} 行，{total}"),
    "decision.review_todo": _M("Review by the {queue} team", "由 {queue} 团队复核"),
    "decision.by": _M("by {time}", "{time} 前"),
    "decision.proof_title": _M("Record and receipt", "记录与收据"),
    "decision.record_id": _M("Record", "记录编号"),
    "decision.leaf": _M("Leaf hash", "叶哈希"),
    "decision.promised_at": _M("Promised at", "承诺时间"),
    "decision.publish_by": _M("In the ledger by", "入账期限"),
    "decision.key_id": _M("Signing key", "签名密钥"),
    "decision.signature": _M("Signature", "签名"),
    "decision.model_digest": _M("Model artifact", "模型制品"),
    "decision.policy_digest": _M("Policy document", "策略文档"),
    "decision.snapshot_digest": _M("Snapshot", "快照"),
    "decision.raw": _M("Whole record as JSON", "完整记录（JSON）"),
    "decision.similar": _M("Similar decisions", "相似决策"),
    "decision.fallback_note": _M("Fallback: {reason}", "降级原因：{reason}"),
    "decision.prediction": _M("Prediction", "预测"),
    "decision.scale": _M("{value}, between {low} and {high}", "{value}，区间 {low} 至 {high}"),
    "decision.scale_marks": _M("{scale}; the policy changes at {marks}", "{scale}；策略阈值 {marks}"),
    "decision.level": _M("{level} interval", "{level} 区间"),
    "decision.level_marks": _M("{level} interval; thresholds {marks}", "{level} 区间；阈值 {marks}"),
}

_PLAN = {
    "plan.title": _M("The plan", "方案"),
    "plan.shipment": _M("From {node}", "由 {node} 发运"),
    "plan.line": _M("{qty} × line {line}", "第 {line} 行 × {qty}"),
    "plan.ship_at": _M("Ships", "发运"),
    "plan.deliver": _M("Arrives", "到达"),
    "plan.deliver_span": _M("{p50}, latest {p90}", "{p50}，最迟 {p90}"),
    "plan.on_time": _M("On time", "准时"),
    "plan.shipping": _M("Shipping", "运费"),
    "plan.processing": _M("Handling", "处理费"),
    "plan.carbon": _M("Carbon", "碳排放"),
    "plan.costs": _M("What it costs", "成本构成"),
    "plan.term.cost": _M("Shipping and handling", "运输与处理"),
    "plan.term.lateness": _M("Expected lateness", "预期迟到"),
    "plan.term.carbon": _M("Carbon", "碳排放"),
    "plan.term.split": _M("Splitting", "拆单"),
    "plan.total": _M("Total", "合计"),
    "plan.proven": _M(
        "Proven optimal: no other plan within the constraints is cheaper (branches explored: {nodes}, {ms} ms).",
        "已证明最优：约束内没有更便宜的方案（{nodes} 个分支，{ms} 毫秒）。",
    ),
    "plan.gap": _M(
        "Best found within the work bound; at most {gap} from the optimum (branches explored: {nodes}).",
        "在计算上限内找到的最佳方案；与最优相差不超过 {gap}（{nodes} 个分支）。",
    ),
    "plan.runner_up": _M(
        "Next best: from {nodes}; cost {cost}, lateness {hours} h, carbon {carbon} g CO₂e against this plan.",
        "次优：由 {nodes} 发运；与本方案相比，成本 {cost}，迟到 {hours} 小时，碳排放 {carbon} 克 CO₂e。",
    ),
    "plan.rejected": _M("Why not from elsewhere", "其他节点未入选的原因"),
    "plan.unfilled": _M("Not filled", "未满足"),
    "plan.unfilled_line": _M("Line {line}, {qty} pieces", "第 {line} 行，{qty} 件"),
}

_LIST = {
    "list.title": _M("Decisions", "决策"),
    "list.intro": _M("Newest first", "最新在前"),
    "list.filters": _M("Filters", "筛选"),
    "list.type": _M("Type", "类型"),
    "list.outcome": _M("Outcome", "结果"),
    "list.status": _M("Status", "状态"),
    "list.order_id": _M("Order", "订单"),
    "list.customer_id": _M("Customer", "客户"),
    "list.reason": _M("Reason code", "理由代码"),
    "list.channel": _M("Channel", "渠道"),
    "list.region": _M("Region", "区域"),
    "list.since": _M("From (UTC)", "从（UTC）"),
    "list.until": _M("Until (UTC)", "到（UTC）"),
    "list.any": _M("Any", "不限"),
    "list.apply": _M("Apply", "应用"),
    "list.clear": _M("Clear all", "全部清除"),
    "list.lift": _M("Remove this filter", "移除此筛选"),
    "list.why": _M("Why", "原因"),
    "list.probability": _M("Risk", "风险"),
    "list.when": _M("Decided", "时间"),
    "list.next": _M("Older", "更早"),
    "list.previous": _M("Newest", "最新"),
    "list.pages": _M("Pages", "翻页"),
    "list.empty": _M("Nothing has been decided yet", "尚无决策"),
    "list.empty_text": _M(
        "As soon as the order system asks, its decisions appear here, each with its reasons and its record.",
        "订单系统发起请求后，每个决策及其原因与记录会显示在这里。",
    ),
    "list.no_match": _M("No decision matches these filters", "没有符合筛选条件的决策"),
    "list.no_match_text": _M("Lift a filter above, or clear them all.", "请移除上方的某个筛选，或全部清除。"),
    "list.bad_time": _M(
        "“{text}” is no date. Write one like 2026-11-11 or 2026-11-11T08:30.", "“{text}”不是日期。请写成 2026-11-11 或 2026-11-11T08:30。"
    ),
    "list.bad_cursor": _M("This page of the list no longer exists; the newest decisions are shown.", "该列表页已不存在；现显示最新决策。"),
    "list.rows": _M("Decisions, newest first", "决策，最新在前"),
}

_ORDER = {
    "order.title": _M("Order {order}", "订单 {order}"),
    "order.summary.one": _M("{count} decision", "{count} 个决策"),
    "order.summary.many": _M("{count} decisions", "{count} 个决策"),
    "order.placed": _M("Placed", "下单时间"),
    "order.customer": _M("Customer", "客户"),
    "order.channel": _M("Channel", "渠道"),
    "order.ship_to": _M("Ship to", "收货地"),
    "order.payment": _M("Payment", "支付"),
    "order.promised": _M("Promised by", "承诺送达"),
    "order.total": _M("Total", "总额"),
    "order.tags": _M("Tags", "标签"),
    "order.lines": _M("Lines", "商品行"),
    "order.sku": _M("SKU", "SKU"),
    "order.qty": _M("Pieces", "件数"),
    "order.price": _M("Unit price", "单价"),
    "order.decisions": _M("What was decided", "决策经过"),
    "order.version": _M("order version {version}", "订单版本 {version}"),
}

_TRAIN = {
    "train.title": _M("Train a model", "训练模型"),
    "train.intro": _M(
        "Hand in a table of past cases. You will see what it holds and what is wrong with it before anything is trained.",
        "上传一张历史数据表。训练之前，您会看到其中的内容和问题。",
    ),
    "train.drop": _M("Drop a CSV file here", "将 CSV 文件拖到此处"),
    "train.file": _M("CSV file", "CSV 文件"),
    "train.limit": _M("Up to {size}; .csv, .tsv or .gz, in any encoding", "最大 {size}；.csv、.tsv 或 .gz，编码不限"),
    "train.template": _M("What should be decided?", "要决策什么？"),
    "train.upload": _M("Upload and check", "上传并检查"),
    "train.uploading": _M("Uploading", "上传中"),
    "train.checking": _M("Checking the file", "正在检查文件"),
    "train.recent": _M("Recent trainings", "最近的训练"),
    "train.datasets": _M("Recent files", "最近的文件"),
    "train.refused": _M("The file cannot be used as it is; nothing of it was kept.", "该文件无法直接使用；未保留任何内容。"),
    "train.no_file": _M("No file was chosen. Choose a CSV file and try again.", "未选择文件。请选择一个 CSV 文件后重试。"),
    "train.rows": _M("{rows} rows", "{rows} 行"),
}

_DATASET = {
    "dataset.title": _M("What the file holds", "文件内容"),
    "dataset.summary": _M(
        "{rows} rows, {columns} columns, {size}, {encoding}, separated by {delimiter}",
        "{rows} 行，{columns} 列，{size}，编码 {encoding}，分隔符 {delimiter}",
    ),
    "dataset.sha": _M("SHA-256 {sha}", "SHA-256 {sha}"),
    "dataset.delimiter.comma": _M("commas", "逗号"),
    "dataset.delimiter.semicolon": _M("semicolons", "分号"),
    "dataset.delimiter.tab": _M("tabs", "制表符"),
    "dataset.delimiter.pipe": _M("vertical bars", "竖线"),
    "dataset.ready": _M("Ready", "就绪"),
    "dataset.ready_text": _M("This file can be trained on.", "该文件可以用于训练。"),
    "dataset.pick": _M("Pick a column", "请选择列"),
    "dataset.pick_text": _M("The file can be read. Say what should be predicted.", "文件可以读取。请选择要预测的列。"),
    "dataset.blocked": _M("Needs mending", "需要修正"),
    "dataset.blocked_text": _M("Mend what is listed below and hand the file in again.", "请修正下列问题后重新上传。"),
    "dataset.care": _M("Ready, with care", "可用，请注意"),
    "dataset.care_text": _M("This file can be trained on. Read the warnings first.", "该文件可以用于训练，请先阅读警告。"),
    "dataset.errors": _M("What is wrong", "问题"),
    "dataset.warnings": _M("What to know", "注意事项"),
    "dataset.where_cell": _M("row {row}, column {column}", "第 {row} 行，列 {column}"),
    "dataset.where_row": _M("row {row}", "第 {row} 行"),
    "dataset.where_column": _M("column {column}", "列 {column}"),
    "dataset.where_file": _M("whole file", "整个文件"),
    "dataset.where_more": _M("{where} and {count} more", "{where}，另有 {count} 处"),
    "dataset.columns": _M("Columns", "列"),
    "dataset.type.number": _M("number", "数值"),
    "dataset.type.integer": _M("whole number", "整数"),
    "dataset.type.category": _M("category", "类别"),
    "dataset.type.boolean": _M("yes or no", "是/否"),
    "dataset.type.time": _M("time", "时间"),
    "dataset.type.text": _M("text", "文本"),
    "dataset.type.empty": _M("empty", "空"),
    "dataset.missing": _M("{share} missing", "缺失 {share}"),
    "dataset.complete": _M("complete", "完整"),
    "dataset.distinct": _M("{count} distinct", "{count} 个不同值"),
    "dataset.examples": _M("for example {examples}", "例如 {examples}"),
    "dataset.span": _M("{low} to {high}", "{low} 至 {high}"),
    "dataset.distribution": _M("Distribution of {column}", "{column} 的分布"),
    "dataset.use": _M("What to train", "训练设置"),
    "dataset.target": _M("Predict", "预测列"),
    "dataset.target_hint": _M("The column whose value should be known in advance.", "希望提前知道其取值的列。"),
    "dataset.target_none": _M("Choose a column", "请选择列"),
    "dataset.time": _M("Decided at", "决策时间列"),
    "dataset.time_hint": _M(
        "When the decision would have been made. The model is tried on later rows than it learned from; columns that are only known afterwards are left out.",
        "本应做出决策的时间。模型用较早的数据学习，用较晚的数据检验；事后才知道的列会被排除。",
    ),
    "dataset.time_none": _M("No time column", "无时间列"),
    "dataset.name": _M("Name", "名称"),
    "dataset.name_hint": _M(
        "Lower-case letters, digits and hyphens; it becomes the address of the endpoint.", "小写字母、数字和连字符；将成为接口地址。"
    ),
    "dataset.budget": _M("Time to search", "搜索时间"),
    "dataset.budget_s": _M("{count} seconds", "{count} 秒"),
    "dataset.budget_min": _M("{count} minutes", "{count} 分钟"),
    "dataset.check": _M("Check again", "重新检查"),
    "dataset.start": _M("Start training", "开始训练"),
    "dataset.role.target": _M("predicted", "预测列"),
    "dataset.role.time": _M("time of decision", "决策时间"),
    "dataset.role.excluded": _M("left out", "已排除"),
    "dataset.role.group": _M("kept together", "分组"),
    "dataset.role.known_at": _M("when the outcome was known", "结果获知时间"),
    "dataset.keep": _M("Use it all the same", "仍然使用"),
    "dataset.exclude": _M("Leave it out", "排除此列"),
}

_TRAINING = {
    "training.title": _M("Training of {name}", "{name} 的训练"),
    "training.state.queued": _M("Waiting", "排队中"),
    "training.state.running": _M("Running", "进行中"),
    "training.state.stopping": _M("Stopping", "正在停止"),
    "training.state.done": _M("Done", "完成"),
    "training.state.failed": _M("Failed", "失败"),
    "training.state.cancelled": _M("Stopped", "已停止"),
    "training.summary": _M("Predicts {target} from {file}; started {when} by {who}.", "根据 {file} 预测 {target}；{who} 于 {when} 启动。"),
    "training.summary_bare": _M("Started {when} by {who}.", "{who} 于 {when} 启动。"),
    "training.progress": _M("Progress", "进度"),
    "training.stage.reading": _M("Read", "读取"),
    "training.stage.checking": _M("Check", "检查"),
    "training.stage.splitting": _M("Split by time", "按时间划分"),
    "training.stage.tuning": _M("Search", "搜索"),
    "training.stage.building": _M("Rebuild the best", "重建最佳"),
    "training.stage.calibrating": _M("Calibrate", "校准"),
    "training.stage.evaluating": _M("Evaluate", "评估"),
    "training.stage.registering": _M("Register", "登记"),
    "training.part.learnt_from": _M("Learnt from", "训练"),
    "training.part.judged_on": _M("Judged on", "检验"),
    "training.part.left_out": _M("Left out", "排除"),
    "training.waiting": _M("Waiting for a free process", "等待空闲进程"),
    "training.stop": _M("Stop", "停止"),
    "training.reload": _M("Reload to see how far it is.", "刷新页面查看进度。"),
    "training.failed_text": _M(
        "Nothing was registered. Mend what is named below and train again.", "未登记任何模型。请修正下列问题后重新训练。"
    ),
    "training.metrics": _M("How good it is", "效果如何"),
    "training.metrics_hint": _M(
        "Judged on {rows} rows that it had not seen, all later than those it learned from.",
        "在 {rows} 条未见过、且晚于训练数据的记录上检验。",
    ),
    "training.metrics_hint_random": _M("Judged on {rows} rows that it had not seen.", "在 {rows} 条未见过的记录上检验。"),
    "training.interval": _M("{low}–{high}", "{low}–{high}"),
    "training.calibration": _M("Can its probabilities be believed?", "概率可信吗？"),
    "training.calibration_plot": _M("Calibration plot: predicted against observed share", "校准图：预测概率与实际比例"),
    "training.calibration_x": _M("predicted", "预测"),
    "training.calibration_y": _M("observed", "实际"),
    "training.calibration_dot": _M("predicted {x}, observed {y} in {rows} rows", "预测 {x}，实际 {y}，共 {rows} 条"),
    "training.slices": _M("Where it does better or worse", "在哪些部分更好或更差"),
    "training.slice": _M("Part of the data", "数据部分"),
    "training.said_seen": _M("Said → seen", "预测 → 实际"),
    "training.rows": _M("Rows", "行数"),
    "training.drivers": _M("What it looks at", "主要依据"),
    "training.drivers_hint": _M("average size of the contribution", "平均贡献大小"),
    "training.excluded": _M("Columns left out", "被排除的列"),
    "training.excluded_none": _M("No column was left out.", "没有排除任何列。"),
    "training.limits": _M("What it cannot do", "局限"),
    "training.data": _M("The data", "数据"),
    "training.endpoint": _M("Endpoint", "接口"),
    "training.endpoint_live": _M("It answers now. A first row to try:", "已可调用，示例："),
    "training.endpoint_later": _M("Once published it answers here:", "发布后可在此调用："),
    "training.copy": _M("Copy", "复制"),
    "training.copied": _M("Copied", "已复制"),
    "training.publish": _M("Publish", "发布"),
    "training.publish_alone": _M(
        "On this demo home one person may publish alone; it is recorded as done without a second person.",
        "在此演示环境中可由一人发布；将记录为未经第二人审批。",
    ),
    "training.publish_two": _M(
        "A second person publishes it: on this home nobody may put their own model in service.",
        "需由第二人发布：在此环境中任何人都不能自行上线自己的模型。",
    ),
    "training.published": _M("In service as champion of {type}.", "已作为 {type} 的主用模型上线。"),
}

_METRICS = {
    "metric.auc": _M("Ranking (AUC)", "排序能力（AUC）"),
    "metric.auc.meaning": _M(
        "Of one case with and one without the event, it ranks the right one higher {share} of the time; guessing gives 50 %.",
        "随机取一个发生与一个未发生的案例，{share} 的情况下排序正确；随机猜测为 50 %。",
    ),
    "metric.average_precision": _M("Average precision", "平均精度"),
    "metric.average_precision.meaning": _M("A list made by guessing would reach {base}.", "随机猜测的列表为 {base}。"),
    "metric.log_loss": _M("Log loss", "对数损失"),
    "metric.log_loss.meaning": _M("Lower is better: the surprise per case.", "越低越好：每个案例的意外程度。"),
    "metric.brier": _M("Brier score", "Brier 分数"),
    "metric.brier.meaning": _M("Lower is better: the squared error of the probabilities.", "越低越好：概率的平方误差。"),
    "metric.ece": _M("Calibration error", "校准误差"),
    "metric.ece.meaning": _M("When it says a probability, it is off by about this much.", "其给出的概率平均偏差约为此值。"),
    "metric.calibration_slope": _M("Calibration slope", "校准斜率"),
    "metric.calibration_slope.meaning": _M("1 is right; below 1 it is too sure of itself.", "1 为准确；小于 1 表示过于自信。"),
    "metric.accuracy": _M("Accuracy", "准确率"),
    "metric.accuracy.meaning": _M("Share of cases for which the first guess is right.", "首选预测正确的比例。"),
    "metric.rmse": _M("Typical error (RMSE)", "典型误差（RMSE）"),
    "metric.rmse.meaning": _M("In the unit of what is predicted; large misses weigh more.", "单位与预测值相同；大误差权重更高。"),
    "metric.mae": _M("Average error (MAE)", "平均误差（MAE）"),
    "metric.mae.meaning": _M("In the unit of what is predicted.", "单位与预测值相同。"),
    "metric.r2": _M("Explained share (R²)", "解释度（R²）"),
    "metric.r2.meaning": _M("0 is as good as always answering the mean, 1 is perfect.", "0 相当于总回答平均值，1 为完美。"),
    "metric.coverage": _M("Interval coverage", "区间覆盖率"),
    "metric.coverage.meaning": _M("How often the truth lies within the interval that it gives.", "真实值落在所给区间内的比例。"),
    "verdict.strong": _M("It tells cases apart well.", "区分能力强。"),
    "verdict.fair": _M("It is clearly better than guessing.", "明显优于随机猜测。"),
    "verdict.weak": _M(
        "It is hardly better than guessing. More rows or more telling columns would help.",
        "几乎不优于随机猜测。需要更多数据或更有信息量的列。",
    ),
    "verdict.trained": _M("It is trained.", "训练完成。"),
    "calibration.good": _M(
        "Yes: when it says {example}, it happens about that often.", "可信：当它说 {example} 时，实际发生的频率与之相近。"
    ),
    "calibration.rough": _M("Roughly: on average its probabilities are off by {error}.", "大致可信：其概率平均偏差 {error}。"),
    "calibration.over": _M("With care: it is surer of itself than it should be.", "谨慎使用：它过于自信。"),
    "calibration.under": _M("With care: it is less sure of itself than it could be.", "谨慎使用：它过于保守。"),
}

_MODELS = {
    "models.title": _M("Models", "模型"),
    "models.intro": _M("Every version that was trained here, and what it is used for", "在此训练的所有版本及其用途"),
    "models.name": _M("Model", "模型"),
    "models.answers": _M("Answers", "用途"),
    "models.quality": _M("Quality", "效果"),
    "models.trained": _M("Trained", "训练时间"),
    "models.digest": _M("Artifact", "制品"),
    "models.decisions": _M("Its decisions", "其决策"),
    "models.by": _M("by {who}", "{who}"),
    "models.empty": _M("No model yet", "尚无模型"),
    "models.empty_text": _M("Until there is one, the policies' rules decide alone.", "在此之前仅由策略规则决策。"),
}

_ERRORS = {
    "error.400": _M("The request could not be read", "无法读取请求"),
    "error.401": _M("Please sign in", "请登录"),
    "error.403": _M("Your role may not see this", "您的角色无权查看"),
    "error.403.text": _M(
        "You are signed in as {role}. Sign in with a key of a role that may, or ask an administrator for one.",
        "您以{role}身份登录。请使用有权限的角色密钥登录，或向管理员申请。",
    ),
    "error.403.form": _M(
        "This form had been open for too long, or did not come from this page. Go back, reload the page and send it again.",
        "该表单打开时间过长，或并非来自本页面。请返回、刷新后重新提交。",
    ),
    "error.404": _M("There is nothing here", "这里没有内容"),
    "error.404.text": _M(
        "The address may be mistyped, or what it named does not exist on this home.", "地址可能有误，或其所指内容不在此环境中。"
    ),
    "error.404.decision": _M(
        "No decision has the number {id}. Numbers are given in every answer as decision_id.",
        "没有编号为 {id} 的决策。编号见每个响应中的 decision_id。",
    ),
    "error.404.order": _M("Nothing has been decided about order {id}.", "订单 {id} 尚无决策。"),
    "error.404.dataset": _M("No file has the number {id}. Hand it in again.", "没有编号为 {id} 的文件。请重新上传。"),
    "error.404.training": _M("No training has the number {id}.", "没有编号为 {id} 的训练。"),
    "error.405": _M("This address does not do that", "该地址不支持此操作"),
    "error.409": _M("That is no longer possible", "操作已不可行"),
    "error.413": _M("The file is too large", "文件过大"),
    "error.413.text": _M(
        "At most {size} are taken. Leave out columns or older rows, or compress it with gzip.",
        "最多接受 {size}。请删减列或较早的行，或使用 gzip 压缩。",
    ),
    "error.422": _M("That cannot be used as it is", "无法直接使用"),
    "error.500": _M("Something went wrong on our side", "服务端出错"),
    "error.500.text": _M(
        "It has been logged. Nothing was decided or changed by it; try again in a moment.", "错误已记录，未做出任何决策或更改；请稍后重试。"
    ),
    "error.503": _M("Not ready at the moment", "暂时不可用"),
    "error.home": _M("To the first page", "回到首页"),
    "error.back": _M("Back", "返回"),
    "error.sign_in": _M("Sign in as somebody else", "换个身份登录"),
    "error.number": _M("Error {status}", "错误 {status}"),
}

_REFERENCE = {key: Message(*texts) for key, texts in WORDS.items()}

CATALOGUE: dict[str, Message] = {
    **_FRAME,
    **_LOGIN,
    **_WORDS,
    **_VERDICTS,
    **_DECISION,
    **_PLAN,
    **_LIST,
    **_ORDER,
    **_TRAIN,
    **_DATASET,
    **_TRAINING,
    **_METRICS,
    **_MODELS,
    **_ERRORS,
    **_REFERENCE,
}
