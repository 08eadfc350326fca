"""Features and health."""

from __future__ import annotations

from serving.console.catalogue.message import Message

FEATURES = {
    "nav.features": Message("Features", "特征"),
    "features.title": Message("Features", "特征"),
    "features.intro": Message(
        "What models see: what each number means, where it comes from, and how fresh it is", "模型所见：每个数值的含义、来源与新鲜度"
    ),
    "features.filter": Message("Narrow the list", "筛选"),
    "features.type": Message("Decision type", "决策类型"),
    "features.entity": Message("About", "关于"),
    "features.words": Message("Words in name or meaning", "名称或含义中的词"),
    "features.any": Message("all", "全部"),
    "features.show": Message("Show", "显示"),
    "features.clear": Message("Show all", "显示全部"),
    "features.count": Message("{shown} of {all} features", "共 {all} 个特征，显示 {shown} 个"),
    "features.none": Message("No feature fits", "没有符合条件的特征"),
    "features.none_text": Message("Take a word or a filter away.", "请减少关键词或筛选条件。"),
    "features.looked": Message(
        "Figures are from the last {count} decisions, since {since}.", "数据来自最近 {count} 次决策（自 {since} 起）。"
    ),
    "features.looked_none": Message(
        "No decision has used these definitions yet, so there are no figures.", "尚无决策使用这些定义，因此没有数据。"
    ),
    "features.others": Message(
        "{count} earlier ones used other definitions and are left out.", "另有 {count} 次较早的决策使用了其他定义，未计入。"
    ),
    "features.version": Message("Definitions", "定义版本"),
    "features.drawing": Message("How the values of {name} lie: {range}", "{name} 的分布：{range}"),
    "features.bar": Message("{value}: {count}", "{value}：{count}"),
    "features.bin": Message("{low} to {high}: {count}", "{low} 至 {high}：{count}"),
    "features.half": Message("Half of the values: {low} to {high}", "半数的值：{low} 至 {high}"),
    "features.always": Message("Half of the values or more: {value}", "半数以上的值：{value}"),
    "features.unknown_all": Message("Nothing was known", "均为未知"),
    "features.too_few": Message("Shown from {count} decisions on, as it speaks of persons", "涉及个人信息，满 {count} 次决策后显示"),
    "features.no_figures": Message("No figures yet", "尚无数据"),
    "features.usual": Message("usual in training: {value}", "训练中的常见值：{value}"),
    "features.age": Message("{age} old, 95 of 100 under {old}", "新鲜度 {age}，95% 小于 {old}"),
    "features.age_request": Message("Told by the request", "来自请求"),
    "features.age_none": Message("No fact behind it yet", "尚无事实依据"),
    "features.defaults": Message("not known for {share}", "{share} 未知"),
    "features.known": Message("always known", "始终已知"),
    "features.personal": Message("personal", "个人信息"),
    "features.actionable": Message("can be changed", "可改变"),
    "features.definition": Message("Definition", "定义"),
    "features.f_kind": Message("Values", "取值"),
    "features.f_owner": Message("Owner", "负责方"),
    "features.f_entity": Message("About", "关于"),
    "features.f_events": Message("Made from events", "来源事件"),
    "features.f_window": Message("Looks back", "回看窗口"),
    "features.f_ttl": Message("Facts count for", "事实有效期"),
    "features.f_default": Message("When never seen", "从未出现时"),
    "features.f_actionable": Message("Can be changed for an order", "能否针对订单改变"),
    "features.f_personal": Message("Speaks of a person", "是否涉及个人"),
    "features.f_reason": Message("Reason", "原因代码"),
    "features.f_formula": Message("Formula", "公式"),
    "features.f_version": Message("Version", "版本"),
    "features.window_all": Message("all that is remembered", "所有保留的历史"),
    "features.window_none": Message("the request alone", "仅看请求"),
    "features.ttl_any": Message("any time", "不限"),
    "features.default_unknown": Message("counts as not known", "视为未知"),
    "features.yes": Message("yes", "是"),
    "features.no": Message("no", "否"),
    "features.request": Message("the order itself", "订单本身"),
    "features.columns": Message(
        "Columns that a request carries, as {name} version {version} learnt them from a file.",
        "请求中携带的列，由 {name} 第 {version} 版从文件中学得。",
    ),
    "features.row": Message("a column of the request", "请求中的一列"),
    "features.required": Message("required", "必填"),
    "features.owner_file": Message("whoever uploaded the file", "上传文件者"),
    "features.more": Message("{count} more", "另有 {count} 项"),
    "features.f_parts": Message("What the model sees of it", "模型所见部分"),
    "features.f_categories": Message("Texts that are told apart", "可区分的文本"),
    "features.f_required": Message("Has to be filled", "是否必填"),
    "columns.number": Message("number", "数值"),
    "columns.integer": Message("whole number", "整数"),
    "columns.category": Message("text", "文本"),
    "columns.boolean": Message("yes or no", "是或否"),
    "columns.time": Message("time", "时间"),
    "unit.CNY": Message("yuan", "元"),
    "unit.pieces": Message("pieces", "件"),
    "unit.orders": Message("orders", "单"),
    "unit.days": Message("days", "天"),
    "unit.h": Message("hours", "小时"),
    "unit.km": Message("kilometres", "公里"),
    "unit.kg": Message("kilograms", "千克"),
    "unit.×": Message("times", "倍"),
    "unit.customers": Message("customers", "客户数"),
    "unit.payments": Message("payments", "支付笔数"),
    "unit.cards": Message("cards", "卡数"),
    "unit.o'clock": Message("time of day", "时刻"),
    "dtype.number": Message("number", "数值"),
    "dtype.integer": Message("whole number", "整数"),
    "dtype.share": Message("share, in per cent", "比例（百分比）"),
    "dtype.flag": Message("yes or no", "是或否"),
    "owner.risk": Message("Risk", "风控"),
    "owner.fulfilment": Message("Fulfilment", "履约"),
    "owner.supply": Message("Supply", "供应"),
    "owner.customer care": Message("Customer care", "客服"),
    "owner.sales": Message("Sales", "销售"),
    "entity.request": Message("the order itself", "订单本身"),
    "entity.customer": Message("customer", "客户"),
    "entity.device": Message("device", "设备"),
    "entity.address": Message("address", "地址"),
    "entity.payment": Message("means of payment", "支付方式"),
    "entity.ip": Message("IP address", "IP 地址"),
    "entity.sku": Message("product", "商品"),
    "entity.supplier": Message("supplier", "供应商"),
    "entity.node": Message("shipping node", "发货仓"),
    "entity.region": Message("destination region", "目的地区"),
    "entity.network": Message("network of nodes", "仓网"),
    "entity.customer_device": Message("customer on a device", "客户与设备"),
    "entity.customer_address": Message("customer at an address", "客户与地址"),
    "entity.payment_device": Message("payment on a device", "支付与设备"),
}

HEALTH = {
    "nav.health": Message("Health", "健康状况"),
    "health.title": Message("Health", "健康状况"),
    "health.at": Message("As of {at}", "截至 {at}"),
    "health.again": Message("Look again", "重新检查"),
    "health.all_ok": Message("Everything works.", "一切正常。"),
    "health.some_hold": Message("It works. Look at: {parts}.", "服务正常。需关注：{parts}。"),
    "health.some_bad": Message("Something is wrong with: {parts}.", "以下部分存在问题：{parts}。"),
    "state.ok": Message("Works", "正常"),
    "state.hold": Message("Look at this", "需关注"),
    "state.bad": Message("Does not work", "故障"),
    "state.wrong": Message("Something is wrong", "存在问题"),
    "state.differs": Message("Found differences", "发现差异"),
    "state.plain": Message("Not known yet", "暂无信息"),
    "health.database": Message("Database", "数据库"),
    "health.database_is": Message("Keeps every record, event and setting", "保存所有记录、事件与设置"),
    "health.database_ok": Message("It can be read and written; an empty write took {time}.", "可读可写；一次空写入用时 {time}。"),
    "health.database_slow": Message(
        "It can be written, but an empty write took {time}: look at the disk and at who else uses it.",
        "可写入，但一次空写入用时 {time}：请检查磁盘及其他使用者。",
    ),
    "health.database_bad": Message(
        "It cannot be written, so nothing is decided: {why}. Start it, or make room on its disk.",
        "无法写入，因此无法做出决策：{why}。请启动数据库或清理磁盘空间。",
    ),
    "health.server": Message("Server", "服务器"),
    "health.replicas": Message("Decision processes", "决策进程"),
    "health.replicas_is": Message("Answer the requests of the OMS", "响应 OMS 的请求"),
    "health.replicas_ok": Message(
        "{count} of {wanted} answer, with the models that are in force.", "{wanted} 个中有 {count} 个响应，且已加载当前模型。"
    ),
    "health.replicas_few": Message(
        "{count} of {wanted} answered. One that was just started or restarted is there within half a minute.",
        "{wanted} 个中有 {count} 个响应。刚启动或重启的进程会在半分钟内就绪。",
    ),
    "health.replicas_old": Message(
        "{count} of {wanted} still decide by models that were replaced. They follow within seconds; if not, restart the service.",
        "{wanted} 个中有 {count} 个仍在使用被替换的模型。通常数秒内会更新；否则请重启服务。",
    ),
    "health.replicas_problem": Message(
        "A model cannot be loaded, and the one before it goes on deciding: {why}", "有模型无法加载，仍由之前的模型决策：{why}"
    ),
    "health.replicas_none": Message("None answers, so nothing is decided: {why}.", "没有进程响应，因此无法做出决策：{why}。"),
    "health.replica": Message("Process {id}", "进程 {id}"),
    "health.replica_models": Message("{models}; generation {generation}", "{models}；第 {generation} 代"),
    "health.no_models": Message("no models", "无模型"),
    "health.in_force": Message("In force", "当前应为"),
    "health.generation": Message("generation {generation}", "第 {generation} 代"),
    "health.recorder": Message("Ledger recorder", "账本记录"),
    "health.recorder_is": Message("Puts each decision on disk before it is answered", "在响应前将每个决策写入磁盘"),
    "health.recorder_ok": Message("The last decision was recorded {age} ago.", "最近一次决策记录于 {age}前。"),
    "health.recorder_none": Message("No decision has been recorded yet.", "尚未记录任何决策。"),
    "health.recorder_bad": Message(
        "It cannot record while the database cannot be written, or no process decides.", "数据库无法写入或没有决策进程时，无法记录。"
    ),
    "health.recorded_at": Message("Last decision", "最近一次决策"),
    "health.store": Message("Feature store", "特征库"),
    "health.store_is": Message("Holds what is known of customers, goods and nodes", "保存关于客户、商品与仓库的已知信息"),
    "health.store_ok": Message("The newest fact that decisions used is {age} old.", "决策所用的最新事实距今 {age}。"),
    "health.store_old": Message(
        "The newest fact that decisions used is {age} old: look whether events still arrive.",
        "决策所用的最新事实距今 {age}：请检查事件是否仍在到达。",
    ),
    "health.store_none": Message("No decision has used a fact from it yet.", "尚无决策使用过其中的事实。"),
    "health.store_other": Message(
        "What it holds was made by other definitions than this version's: restart the service, or run 'ordinance features rebuild'.",
        "其内容由其他版本的定义生成：请重启服务，或运行 'ordinance features rebuild'。",
    ),
    "health.gap": Message("Events may be missing up to", "此前的事件可能缺失"),
    "health.rebuild": Message("Rebuild from events", "由事件重建"),
    "health.rebuild_done": Message("{done} of {all} events", "{all} 个事件中的 {done} 个"),
    "health.fact_at": Message("Newest fact used", "所用的最新事实"),
    "health.ingest": Message("Events", "事件"),
    "health.ingest_is": Message("What the business tells: orders, payments, stock, weather", "业务上报的信息：订单、支付、库存、天气"),
    "health.ingest_ok": Message(
        "The last one became known {age} ago; {count} in the last hour.", "最近一个事件于 {age}前获知；过去一小时共 {count} 个。"
    ),
    "health.ingest_old": Message(
        "None has become known for {age}. Decisions still work, on what was known then: look whether the sender runs.",
        "已有 {age}没有新事件。决策仍在进行，但基于当时的信息：请检查发送方是否运行。",
    ),
    "health.ingest_none": Message(
        "None has ever arrived. Decisions know only what the request tells.", "从未收到事件。决策仅依据请求中的信息。"
    ),
    "health.known_at": Message("Newest event", "最新事件"),
    "health.last_hour": Message("In the last hour", "过去一小时"),
    "health.more_than": Message("more than {count}", "超过 {count}"),
    "health.parity": Message("Parity check", "一致性检查"),
    "health.parity_is": Message(
        "Rebuilds what decisions saw from the raw events, and compares bit by bit", "用原始事件重建决策所见的特征，并逐位比较"
    ),
    "health.parity_ok": Message(
        "{count} decisions were rebuilt; every value came out the same.", "重建了 {count} 次决策，所有值完全一致。"
    ),
    "health.parity_bad": Message(
        "{count} of {compared} decisions saw something else than the events say. Name the features below to whoever runs the service; 'ordinance parity' checks again.",
        "{compared} 次决策中有 {count} 次所见与事件不符。请将下列特征告知运维人员；可用 'ordinance parity' 再次检查。",
    ),
    "health.parity_none": Message(
        "It has not run yet: it needs decisions, and begins half a minute after the start.",
        "尚未运行：需要已有决策，并在启动半分钟后开始。",
    ),
    "health.parity_off": Message(
        "It has not run, and is turned off. 'ordinance parity' runs it once.", "尚未运行，且已关闭。可用 'ordinance parity' 运行一次。"
    ),
    "health.parity_nothing": Message("None of {count} decisions could be compared.", "{count} 次决策均无法比较。"),
    "health.parity_old": Message("The last check is {age} old; it should come every {every}.", "上次检查距今 {age}；应每 {every}一次。"),
    "health.parity_at": Message("Last check", "上次检查"),
    "health.parity_sample": Message("Sampled", "抽样"),
    "health.parity_sample_text": Message(
        "{count} of the decisions since {since}, seed {seed}", "自 {since} 起的决策中抽取 {count} 次，随机种子 {seed}"
    ),
    "health.parity_equal": Message("Equal", "一致"),
    "health.parity_equal_text": Message("{count} decisions", "{count} 次决策"),
    "health.parity_differing": Message("Differing", "不一致"),
    "health.parity_values": Message("Compared", "已比较"),
    "health.parity_values_text": Message(
        "{values} values; {events} events were read in {time}", "{values} 个值；读取 {events} 个事件，用时 {time}"
    ),
    "health.parity_skipped": Message("Not comparable", "无法比较"),
    "health.parity_odd": Message("Features that came out otherwise", "不一致的特征"),
    "health.parity_odd_count": Message("{differing} of {checked}", "{checked} 个中的 {differing} 个"),
    "health.parity_example": Message("recorded {recorded}, by the events {rebuilt}", "记录值 {recorded}，按事件重建为 {rebuilt}"),
    "why.other_version": Message("{count}: decided by other definitions", "{count} 次：使用了其他版本的定义"),
    "why.before_events": Message("{count}: look at a time whose events are not here", "{count} 次：涉及的时间段内没有事件"),
    "why.changed_later": Message(
        "{count}: events of its time were loaded or forgotten afterwards", "{count} 次：相关时间的事件在其后才载入或已被删除"
    ),
    "why.at_once": Message("{count}: an event came in the same moment", "{count} 次：同一时刻有事件到达"),
    "why.too_many_events": Message("{count}: beyond what one check may read", "{count} 次：超出单次检查可读取的范围"),
    "why.unreadable": Message("{count}: the record does not tell it any more", "{count} 次：记录中已无所需内容"),
    "health.expiry": Message("Retention", "保留期限"),
    "health.expiry_is": Message("Forgets what was told about persons longer ago than it may be kept", "删除超过保留期限的个人信息"),
    "health.expiry_ok": Message(
        "The last run began {age} ago: {events} events deleted, {changed} stripped of a name.",
        "上次运行始于 {age}前：删除 {events} 个事件，{changed} 个事件去除了标识。",
    ),
    "health.expiry_runs": Message("It is at work.", "正在运行。"),
    "health.expiry_none": Message("It has not run yet, and begins half a minute after the start.", "尚未运行，将在启动半分钟后开始。"),
    "health.expiry_off": Message(
        "Nothing is forgotten by itself: ORDINANCE_RETENTION_DAYS or ORDINANCE_RETENTION_EVERY_S says so.",
        "不会自动删除：由 ORDINANCE_RETENTION_DAYS 或 ORDINANCE_RETENTION_EVERY_S 决定。",
    ),
    "health.expiry_failed": Message(
        "The last run failed: {why}. It is tried again; 'ordinance features expire' does it at once.",
        "上次运行失败：{why}。将会重试；也可立即运行 'ordinance features expire'。",
    ),
    "health.expiry_old": Message(
        "The last run is {age} old; there should be one every {every}. Look into the service's log.",
        "上次运行距今 {age}；应每 {every}一次。请查看服务日志。",
    ),
    "health.expiry_at": Message("Last run", "上次运行"),
    "health.confidence": Message("Confidence", "置信度"),
    "health.confidence_is": Message("Holds probabilities against what really happened", "将预测概率与实际结果对照"),
    "health.confidence_ok": Message("Probabilities and intervals mean what they say.", "概率与区间名副其实。"),
    "health.confidence_off": Message(
        "What really happened strays from what was told by: {models}. Train it anew on newer orders.",
        "以下模型的预测与实际结果偏离：{models}。请用较新的订单重新训练。",
    ),
    "health.confidence_none": Message(
        "{count} decisions have a known end; from {fewest} of one model on, its figures are told. The OMS sends ends to /v1/outcomes.",
        "已知结果的决策有 {count} 个；单个模型达到 {fewest} 个后给出指标。结果由 OMS 发送至 /v1/outcomes。",
    ),
    "health.confidence_labelled": Message("{count} known ends", "已知结果 {count} 个"),
    "health.confidence_ece": Message("off by {value} on average", "平均偏差 {value}"),
    "health.confidence_coverage": Message("intervals hold for {value}", "区间覆盖 {value}"),
    "health.confidence_auc": Message("AUC {value}", "AUC {value}"),
    "health.trainings": Message("Trainings", "训练"),
    "health.trainings_is": Message("Learn new models beside the service", "在服务之外训练新模型"),
    "health.trainings_none": Message("None is running.", "当前没有训练在运行。"),
    "health.trainings_some": Message("{count} running or waiting.", "{count} 个正在运行或等待。"),
    "health.trainings_failed": Message("{count} failed in the last day.", "过去一天有 {count} 个失败。"),
    "health.trainings_all": Message("See them", "查看"),
    "health.unread": Message("It could not be read.", "无法读取。"),
}

TEXTS: dict[str, Message] = {**FEATURES, **HEALTH}
