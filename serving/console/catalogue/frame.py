"""The frame of every page, signing in, what goes wrong, model versions."""

from __future__ import annotations

from serving.console.catalogue.message import Message

FRAME = {
    "brand": Message("Ordinance", "Ordinance"),
    "skip": Message("Skip to the content", "跳到正文"),
    "nav.main": Message("Main", "主导航"),
    "nav.decisions": Message("Decisions", "决策"),
    "nav.train": Message("Train", "训练"),
    "nav.models": Message("Models", "模型"),
    "nav.language": Message("中文", "English"),
    "nav.search": Message("Find an order", "查找订单"),
    "nav.search_hint": Message("Order number", "订单号"),
    "nav.sign_out": Message("Sign out", "退出"),
    "nav.path": Message("Path to this page", "页面路径"),
    "role.oms": Message("OMS", "OMS 系统"),
    "role.auditor": Message("Auditor", "审计员"),
    "role.reviewer": Message("Reviewer", "复核员"),
    "role.trainer": Message("Trainer", "训练员"),
    "role.policy_owner": Message("Policy owner", "策略负责人"),
    "role.approver": Message("Approver", "审批人"),
    "role.admin": Message("Administrator", "管理员"),
    "none": Message("none", "无"),
}

LOGIN = {
    "login.title": Message("Sign in", "登录"),
    "login.intro": Message(
        "Decisions that can be explained, repeated and proved. Sign in with an API key of your role.",
        "可解释、可重放、可证明的决策。请使用您角色的 API 密钥登录。",
    ),
    "login.key": Message("API key", "API 密钥"),
    "login.key_hint": Message(
        "It starts with ord_. Whoever runs the service makes one with",
        "以 ord_ 开头。由服务运维人员创建：",
    ),
    "login.submit": Message("Sign in", "登录"),
    "login.wrong": Message(
        "This key is not known, or it was revoked. Check that you copied all of it, or ask an administrator for a new one.",
        "该密钥不存在或已被吊销。请检查是否完整复制，或向管理员索取新密钥。",
    ),
    "login.link_used": Message(
        "This login link has been used or is too old: each works once. Sign in with a key, or make a new link.",
        "该登录链接已使用或已过期：每个链接只能使用一次。请使用密钥登录，或生成新的链接。",
    ),
    "login.ended": Message("Your session has ended. Sign in again to go on where you were.", "会话已结束。请重新登录以继续。"),
    "login.stale": Message("The page had been open for too long. Please sign in again.", "页面打开时间过长，请重新登录。"),
    "login.done": Message("You are signed in", "您已登录"),
    "login.go_on": Message("Go on", "继续"),
}

ERRORS = {
    "error.400": Message("The request could not be read", "无法读取请求"),
    "error.401": Message("Please sign in", "请登录"),
    "error.403": Message("Your role may not see this", "您的角色无权查看"),
    "error.403.text": Message(
        "You are signed in as {role}. Sign in with a key of a role that may, or ask an administrator for one.",
        "您以{role}身份登录。请使用有权限的角色密钥登录，或向管理员申请。",
    ),
    "error.403.form": Message(
        "This form had been open for too long, or did not come from this page. Go back, reload the page and send it again.",
        "该表单打开时间过长，或并非来自本页面。请返回、刷新后重新提交。",
    ),
    "error.404": Message("There is nothing here", "这里没有内容"),
    "error.404.text": Message(
        "The address may be mistyped, or what it named does not exist on this home.", "地址可能有误，或其所指内容不在此环境中。"
    ),
    "error.404.decision": Message(
        "No decision has the number {id}. Numbers are given in every answer as decision_id.",
        "没有编号为 {id} 的决策。编号见每个响应中的 decision_id。",
    ),
    "error.404.order": Message("Nothing has been decided about order {id}.", "订单 {id} 尚无决策。"),
    "error.404.dataset": Message("No file has the number {id}. Hand it in again.", "没有编号为 {id} 的文件。请重新上传。"),
    "error.404.training": Message("No training has the number {id}.", "没有编号为 {id} 的训练。"),
    "error.405": Message("This address does not do that", "该地址不支持此操作"),
    "error.405.text": Message("It is reached in another way: go back and use the page's own buttons.", "请返回并使用页面上的按钮。"),
    "error.409": Message("That is no longer possible", "操作已不可行"),
    "error.413": Message("The file is too large", "文件过大"),
    "error.413.text": Message(
        "At most {size} are taken. Leave out columns or older rows, or compress it with gzip.",
        "最多接受 {size}。请删减列或较早的行，或使用 gzip 压缩。",
    ),
    "error.422": Message("That cannot be used as it is", "无法直接使用"),
    "error.422.text": Message("Correct what is named here and send it again.", "请更正以下内容后重新提交。"),
    "error.500": Message("Something went wrong on our side", "服务端出错"),
    "error.500.text": Message(
        "It has been logged. Nothing was decided or changed by it; try again in a moment.", "错误已记录，未做出任何决策或更改；请稍后重试。"
    ),
    "error.503": Message("Not ready at the moment", "暂时不可用"),
    "error.home": Message("To the first page", "回到首页"),
    "error.number": Message("Error {status}", "错误 {status}"),
}

MODELS = {
    "models.title": Message("Models", "模型"),
    "models.intro": Message("Every version that was trained here, and what it is used for", "在此训练的所有版本及其用途"),
    "models.name": Message("Model", "模型"),
    "models.answers": Message("Answers", "用途"),
    "models.quality": Message("Quality", "效果"),
    "models.trained": Message("Trained", "训练时间"),
    "models.digest": Message("Artifact", "制品"),
    "models.decisions": Message("Its decisions", "其决策"),
    "models.by": Message("by {who}", "{who}"),
    "models.empty": Message("No model yet", "尚无模型"),
    "models.empty_text": Message("Until there is one, the policies' rules decide alone.", "在此之前仅由策略规则决策。"),
}

TEXTS: dict[str, Message] = {**FRAME, **LOGIN, **ERRORS, **MODELS}
