"""Files, trainings and what their figures mean."""

from __future__ import annotations

from serving.console.catalogue.message import Message

TRAIN = {
    "train.title": Message("Train a model", "训练模型"),
    "train.intro": Message(
        "Hand in a table of past cases. You will see what it holds and what is wrong with it before anything is trained.",
        "上传一张历史数据表。训练之前，您会看到其中的内容和问题。",
    ),
    "train.drop": Message("Drop a CSV file here", "将 CSV 文件拖到此处"),
    "train.file": Message("CSV file", "CSV 文件"),
    "train.limit": Message("Up to {size}; .csv, .tsv or .gz, in any encoding", "最大 {size}；.csv、.tsv 或 .gz，编码不限"),
    "train.template": Message("What should be decided?", "要决策什么？"),
    "train.upload": Message("Upload and check", "上传并检查"),
    "train.uploading": Message("Uploading", "上传中"),
    "train.checking": Message("Checking the file", "正在检查文件"),
    "train.recent": Message("Recent trainings", "最近的训练"),
    "train.datasets": Message("Recent files", "最近的文件"),
    "train.refused": Message("The file cannot be used as it is; nothing of it was kept.", "该文件无法直接使用；未保留任何内容。"),
    "train.no_file": Message("No file was chosen. Choose a CSV file and try again.", "未选择文件。请选择一个 CSV 文件后重试。"),
    "train.rows": Message("{rows} rows", "{rows} 行"),
}

DATASET = {
    "dataset.title": Message("What the file holds", "文件内容"),
    "dataset.summary": Message(
        "{rows} rows, {columns} columns, {size}, {encoding}, separated by {delimiter}",
        "{rows} 行，{columns} 列，{size}，编码 {encoding}，分隔符 {delimiter}",
    ),
    "dataset.sha": Message("SHA-256 {sha}", "SHA-256 {sha}"),
    "dataset.delimiter.comma": Message("commas", "逗号"),
    "dataset.delimiter.semicolon": Message("semicolons", "分号"),
    "dataset.delimiter.tab": Message("tabs", "制表符"),
    "dataset.delimiter.pipe": Message("vertical bars", "竖线"),
    "dataset.ready": Message("Ready", "就绪"),
    "dataset.ready_text": Message("This file can be trained on.", "该文件可以用于训练。"),
    "dataset.pick": Message("Pick a column", "请选择列"),
    "dataset.pick_text": Message("The file can be read. Say what should be predicted.", "文件可以读取。请选择要预测的列。"),
    "dataset.blocked": Message("Needs mending", "需要修正"),
    "dataset.blocked_text": Message("Mend what is listed below and hand the file in again.", "请修正下列问题后重新上传。"),
    "dataset.care": Message("Ready, with care", "可用，请注意"),
    "dataset.care_text": Message("This file can be trained on. Read the warnings first.", "该文件可以用于训练，请先阅读警告。"),
    "dataset.errors": Message("What is wrong", "问题"),
    "dataset.warnings": Message("What to know", "注意事项"),
    "dataset.where_cell": Message("row {row}, column {column}", "第 {row} 行，列 {column}"),
    "dataset.where_row": Message("row {row}", "第 {row} 行"),
    "dataset.where_column": Message("column {column}", "列 {column}"),
    "dataset.where_file": Message("whole file", "整个文件"),
    "dataset.where_more": Message("{where} and {count} more", "{where}，另有 {count} 处"),
    "dataset.columns": Message("Columns", "列"),
    "dataset.type.number": Message("number", "数值"),
    "dataset.type.integer": Message("whole number", "整数"),
    "dataset.type.category": Message("category", "类别"),
    "dataset.type.boolean": Message("yes or no", "是/否"),
    "dataset.type.time": Message("time", "时间"),
    "dataset.type.text": Message("text", "文本"),
    "dataset.type.empty": Message("empty", "空"),
    "dataset.missing": Message("{share} missing", "缺失 {share}"),
    "dataset.complete": Message("complete", "完整"),
    "dataset.distinct": Message("{count} distinct", "{count} 个不同值"),
    "dataset.examples": Message("for example {examples}", "例如 {examples}"),
    "dataset.span": Message("{low} to {high}", "{low} 至 {high}"),
    "dataset.distribution": Message("Distribution of {column}", "{column} 的分布"),
    "dataset.use": Message("What to train", "训练设置"),
    "dataset.target": Message("Predict", "预测列"),
    "dataset.target_hint": Message("The column whose value should be known in advance.", "希望提前知道其取值的列。"),
    "dataset.target_none": Message("Choose a column", "请选择列"),
    "dataset.time": Message("Decided at", "决策时间列"),
    "dataset.time_hint": Message(
        "When the decision would have been made. The model is tried on later rows than it learned from; columns that are only known afterwards are left out.",
        "本应做出决策的时间。模型用较早的数据学习，用较晚的数据检验；事后才知道的列会被排除。",
    ),
    "dataset.time_none": Message("No time column", "无时间列"),
    "dataset.name": Message("Name", "名称"),
    "dataset.name_hint": Message(
        "Lower-case letters, digits and hyphens; it becomes the address of the endpoint.", "小写字母、数字和连字符；将成为接口地址。"
    ),
    "dataset.budget": Message("Time to search", "搜索时间"),
    "dataset.budget_s": Message("{count} seconds", "{count} 秒"),
    "dataset.budget_min": Message("{count} minutes", "{count} 分钟"),
    "dataset.check": Message("Check again", "重新检查"),
    "dataset.start": Message("Start training", "开始训练"),
    "dataset.role.target": Message("predicted", "预测列"),
    "dataset.role.time": Message("time of decision", "决策时间"),
    "dataset.role.excluded": Message("left out", "已排除"),
    "dataset.role.group": Message("kept together", "分组"),
    "dataset.role.known_at": Message("when the outcome was known", "结果获知时间"),
    "dataset.keep": Message("Use it all the same", "仍然使用"),
    "dataset.exclude": Message("Leave it out", "排除此列"),
}

TRAINING = {
    "training.title": Message("Training of {name}", "{name} 的训练"),
    "training.state.queued": Message("Waiting", "排队中"),
    "training.state.running": Message("Running", "进行中"),
    "training.state.stopping": Message("Stopping", "正在停止"),
    "training.state.done": Message("Done", "完成"),
    "training.state.failed": Message("Failed", "失败"),
    "training.state.cancelled": Message("Stopped", "已停止"),
    "training.summary": Message(
        "Predicts {target} from {file}; started {when} by {who}.", "根据 {file} 预测 {target}；{who} 于 {when} 启动。"
    ),
    "training.summary_bare": Message("Started {when} by {who}.", "{who} 于 {when} 启动。"),
    "training.progress": Message("Progress", "进度"),
    "training.stage.reading": Message("Read", "读取"),
    "training.stage.checking": Message("Check", "检查"),
    "training.stage.splitting": Message("Split by time", "按时间划分"),
    "training.stage.tuning": Message("Search", "搜索"),
    "training.stage.building": Message("Rebuild the best", "重建最佳"),
    "training.stage.calibrating": Message("Calibrate", "校准"),
    "training.stage.evaluating": Message("Evaluate", "评估"),
    "training.stage.registering": Message("Register", "登记"),
    "training.part.learnt_from": Message("Learnt from", "训练"),
    "training.part.judged_on": Message("Judged on", "检验"),
    "training.part.left_out": Message("Left out", "排除"),
    "training.waiting": Message("Waiting for a free process", "等待空闲进程"),
    "training.stop": Message("Stop", "停止"),
    "training.reload": Message("Reload to see how far it is.", "刷新页面查看进度。"),
    "training.failed_text": Message(
        "Nothing was registered. Mend what is named below and train again.", "未登记任何模型。请修正下列问题后重新训练。"
    ),
    "training.failed.data_refused": Message("The file cannot be used as it is.", "该文件无法直接使用。"),
    "training.failed.interrupted": Message(
        "The service ended while this training was under way. Start it again.", "训练期间服务已停止。请重新启动训练。"
    ),
    "training.failed.not_launched": Message(
        "The training could not be started: no process took it. Try again in a moment.", "无法启动训练：没有可用进程。请稍后重试。"
    ),
    "training.failed.defect": Message("{detail}", "Ordinance 的缺陷中断了本次训练：{detail}"),
    "training.metrics": Message("How good it is", "效果如何"),
    "training.metrics_hint": Message(
        "Judged on {rows} rows that it had not seen, all later than those it learned from.",
        "在 {rows} 条未见过、且晚于训练数据的记录上检验。",
    ),
    "training.metrics_hint_random": Message("Judged on {rows} rows that it had not seen.", "在 {rows} 条未见过的记录上检验。"),
    "training.interval": Message("{low}–{high}", "{low}–{high}"),
    "training.calibration": Message("Can its probabilities be believed?", "概率可信吗？"),
    "training.calibration_plot": Message("Calibration plot: predicted against observed share", "校准图：预测概率与实际比例"),
    "training.calibration_x": Message("predicted", "预测"),
    "training.calibration_y": Message("observed", "实际"),
    "training.calibration_dot": Message("predicted {x}, observed {y} in {rows} rows", "预测 {x}，实际 {y}，共 {rows} 条"),
    "training.slices": Message("Where it does better or worse", "在哪些部分更好或更差"),
    "training.slice": Message("Part of the data", "数据部分"),
    "training.said_seen": Message("Said → seen", "预测 → 实际"),
    "training.rows": Message("Rows", "行数"),
    "training.drivers": Message("What it looks at", "主要依据"),
    "training.drivers_judged": Message("average size of the contribution, on the rows it was judged on", "检验数据上的平均贡献大小"),
    "training.drivers_learnt": Message("share of what learning from it improved", "在学习所得改进中的占比"),
    "training.drivers_none": Message(
        "The model's artifact cannot be read here, so what it looks at is not known.", "此处无法读取模型制品，因此不知道其主要依据。"
    ),
    "training.excluded": Message("Columns left out", "被排除的列"),
    "training.excluded_none": Message("No column was left out.", "没有排除任何列。"),
    "worth.title": Message("What it is worth", "价值"),
    "worth.hint": Message("under its policy, per 1,000 orders that it had not seen", "按其策略，每千个未见过的订单"),
    "worth.with_model": Message("Cost with the model", "使用模型的成本"),
    "worth.rules_only": Message("Cost by rules only", "仅按规则的成本"),
    "worth.nobody_decides": Message("Cost when nobody decides", "不作决策的成本"),
    "worth.saved": Message("Saved by the model", "模型节省"),
    "worth.between": Message("{value} ({low} to {high})", "{value}（{low} 至 {high}）"),
    "worth.gaps": Message("Are all treated alike?", "各群体是否同等对待？"),
    "worth.no_gap": Message("No segment is clearly treated otherwise than another.", "各群体之间没有明显差异。"),
    "worth.accept_rate": Message(
        "Let through: from {low} ({least}) to {high} ({most}).", "通过率：从 {low}（{least}）到 {high}（{most}）。"
    ),
    "worth.false_alarm_rate": Message(
        "Good ones stopped: from {low} ({least}) to {high} ({most}).", "正常单被拦下的比例：从 {low}（{least}）到 {high}（{most}）。"
    ),
    "worth.miss_rate": Message(
        "Bad ones let through: from {low} ({least}) to {high} ({most}).", "问题单被放过的比例：从 {low}（{least}）到 {high}（{most}）。"
    ),
    "training.limits": Message("What it cannot do", "局限"),
    "training.data": Message("The data", "数据"),
    "training.endpoint": Message("Endpoint", "接口"),
    "training.endpoint_live": Message("It answers now. A first row to try:", "已可调用，示例："),
    "training.endpoint_later": Message("Once published it answers here:", "发布后可在此调用："),
    "training.copy": Message("Copy", "复制"),
    "training.copied": Message("Copied", "已复制"),
    "training.publish": Message("Publish", "发布"),
    "training.publish_alone": Message(
        "On this demo home one person may publish alone; it is recorded as done without a second person.",
        "在此演示环境中可由一人发布；将记录为未经第二人审批。",
    ),
    "training.publish_two": Message(
        "A second person publishes it: on this home nobody may put their own model in service.",
        "需由第二人发布：在此环境中任何人都不能自行上线自己的模型。",
    ),
    "training.published": Message("In service as champion of {type}.", "已作为 {type} 的主用模型上线。"),
}

METRICS = {
    "metric.auc": Message("Ranking (AUC)", "排序能力（AUC）"),
    "metric.auc.meaning": Message(
        "Of one case with and one without the event, it ranks the right one higher {share} of the time; guessing gives 50 %.",
        "随机取一个发生与一个未发生的案例，{share} 的情况下排序正确；随机猜测为 50 %。",
    ),
    "metric.average_precision": Message("Average precision", "平均精度"),
    "metric.average_precision.meaning": Message("A list made by guessing would reach {base}.", "随机猜测的列表为 {base}。"),
    "metric.log_loss": Message("Log loss", "对数损失"),
    "metric.log_loss.meaning": Message("Lower is better: the surprise per case.", "越低越好：每个案例的意外程度。"),
    "metric.brier": Message("Brier score", "Brier 分数"),
    "metric.brier.meaning": Message("Lower is better: the squared error of the probabilities.", "越低越好：概率的平方误差。"),
    "metric.ece": Message("Calibration error", "校准误差"),
    "metric.ece.meaning": Message("When it says a probability, it is off by about this much.", "其给出的概率平均偏差约为此值。"),
    "metric.calibration_slope": Message("Calibration slope", "校准斜率"),
    "metric.calibration_slope.meaning": Message("1 is right; below 1 it is too sure of itself.", "1 为准确；小于 1 表示过于自信。"),
    "metric.accuracy": Message("Accuracy", "准确率"),
    "metric.accuracy.meaning": Message("Share of cases for which the first guess is right.", "首选预测正确的比例。"),
    "metric.rmse": Message("Typical error (RMSE)", "典型误差（RMSE）"),
    "metric.rmse.meaning": Message("In the unit of what is predicted; large misses weigh more.", "单位与预测值相同；大误差权重更高。"),
    "metric.mae": Message("Average error (MAE)", "平均误差（MAE）"),
    "metric.mae.meaning": Message("In the unit of what is predicted.", "单位与预测值相同。"),
    "metric.r2": Message("Explained share (R²)", "解释度（R²）"),
    "metric.r2.meaning": Message("0 is as good as always answering the mean, 1 is perfect.", "0 相当于总回答平均值，1 为完美。"),
    "metric.coverage": Message("Interval coverage", "区间覆盖率"),
    "metric.coverage.meaning": Message("How often the truth lies within the interval that it gives.", "真实值落在所给区间内的比例。"),
    "verdict.strong": Message("It tells cases apart well.", "区分能力强。"),
    "verdict.fair": Message("It is clearly better than guessing.", "明显优于随机猜测。"),
    "verdict.weak": Message(
        "It is hardly better than guessing. More rows or more telling columns would help.",
        "几乎不优于随机猜测。需要更多数据或更有信息量的列。",
    ),
    "verdict.trained": Message("It is trained.", "训练完成。"),
    "calibration.good": Message(
        "Yes: when it says {example}, it happens about that often.", "可信：当它说 {example} 时，实际发生的频率与之相近。"
    ),
    "calibration.rough": Message("Roughly: on average its probabilities are off by {error}.", "大致可信：其概率平均偏差 {error}。"),
    "calibration.over": Message("With care: it is surer of itself than it should be.", "谨慎使用：它过于自信。"),
    "calibration.under": Message("With care: it is less sure of itself than it could be.", "谨慎使用：它过于保守。"),
}

TEXTS: dict[str, Message] = {**TRAIN, **DATASET, **TRAINING, **METRICS}
