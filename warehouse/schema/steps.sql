-- Steps, attempts at them, and the rows they wrote.

-- One row per finished step.
create table steps (
    step_id varchar primary key,
    kind varchar not null,
    settings json not null,
    -- All of them, those below included.
    seconds double not null,
    start_seconds double not null,
    load_seconds double not null,
    n_rows bigint not null,
    n_reused bigint not null,
    peak_memory_bytes bigint,
    versions json not null,
    facts json not null,
    -- Counted when the weights were loaded.
    n_parameters bigint,
    -- Fingerprint of the code that made it.
    code varchar not null,
    -- Which finish of the step the rows here are from.
    outcome_sha256 varchar not null
);

-- One row per attempt at a step.
create table runs (
    run_id varchar primary key,
    step_id varchar not null,
    experiment varchar not null,
    -- UTC.
    started_at timestamp not null,
    seconds double not null,
    status varchar not null,
    error varchar,
    host varchar not null,
    pid bigint
);

-- One row per data step and item.
create table examples (
    step_id varchar not null,
    item varchar not null,
    language varchar not null,
    -- The conversation before the question; of questions that are asked in turn, those before this one alone.
    turns struct(role varchar, content varchar)[] not null,
    instruction varchar not null,
    response varchar,
    chosen varchar,
    rejected varchar,
    answers varchar[] not null,
    reference varchar,
    category varchar,
    extra json not null
);

-- One row per prompt that was ever sent; `prompt_id` is its SHA-256.
create table prompts (
    prompt_id varchar not null,
    text varchar not null
);

-- One row per generate step and item.
create table step_completions (
    step_id varchar not null,
    item varchar not null,
    language varchar not null,
    -- The conversation before the question, where it holds the model's own answers.
    turns struct(role varchar, content varchar)[] not null,
    prompt_id varchar not null,
    text varchar,
    n_characters bigint,
    raw_text varchar,
    finish_reason varchar not null,
    stop_string varchar,
    error varchar,
    max_new_tokens bigint not null,
    n_prompt_tokens bigint,
    n_new_tokens bigint,
    seconds double,
    batch_size bigint,
    -- The row's own seed.
    seed hugeint,
    engine varchar not null,
    model_served varchar,
    -- Fingerprint of the code that made the row.
    code varchar,
    -- Null where no model was loaded here.
    device varchar,
    dtype varchar,
    -- Of the libraries that computed it.
    versions map(varchar, varchar),
    -- What a name on the hub stood for, where no commit was named.
    commit varchar,
    -- What a server says of its version.
    system_fingerprint varchar
);

-- One row per judge step, judge, item, opponent and aspect.
create table step_verdicts (
    step_id varchar not null,
    -- What the step calls the judge.
    judge_key varchar not null,
    item varchar not null,
    language varchar not null,
    aspect varchar not null,
    -- The method whose answer this one was compared with.
    against varchar,
    -- Null is unscored.
    score double,
    unscored_reason varchar,
    reason varchar,
    distribution json,
    -- What the score was made from, by name.
    parts json,
    raw varchar,
    n_prompt_tokens bigint,
    n_new_tokens bigint,
    seconds double,
    usd double,
    model_served varchar,
    -- Fingerprint of the code that made the row; null where a rule decided.
    code varchar,
    -- Null where no model was loaded here.
    device varchar,
    dtype varchar,
    -- Of the libraries that computed it.
    versions map(varchar, varchar),
    -- What a name on the hub stood for, where no commit was named.
    commit varchar,
    -- What a server says of its version.
    system_fingerprint varchar
);

-- One row per step that answers or judges: what its rows took, added up.
create table step_usage (
    step_id varchar not null,
    n_prompt_tokens bigint,
    n_new_tokens bigint,
    usd double
);

-- One row per reference_logps step and preference pair.
create table ref_logps (
    step_id varchar not null,
    item varchar not null,
    language varchar not null,
    -- Log-probabilities of the two answers, in nats.
    ref_chosen_logps double not null,
    ref_rejected_logps double not null,
    n_tokens bigint not null
);

-- One row per training step, optimiser step and metric.
create table train_metrics (
    step_id varchar not null,
    global_step bigint not null,
    name varchar not null,
    value double not null
);

-- One row per sequential_test step.
create table looks (
    step_id varchar not null,
    -- Slices of the items so far; fewer than those of the step where the contrast was settled before.
    number bigint not null,
    "of" bigint not null,
    -- Items with a score on both sides.
    n bigint not null,
    -- Items that were asked and lack one.
    n_unscored bigint not null,
    estimate double,
    -- Of the 95% confidence sequence.
    ci_low double not null,
    ci_high double not null,
    e_value double not null,
    is_settled boolean not null
);

-- One row per select step and training that it chose from.
create table trials (
    step_id varchar not null,
    -- The training's step.
    trial_id varchar not null,
    -- The values it was trained with.
    varied varchar not null,
    -- Measured on validation rows: the metric, its best value, and the optimiser step that had it.
    metric_for_best_model varchar not null,
    best_metric double not null,
    best_global_step bigint not null,
    n_validation_rows bigint not null,
    is_chosen boolean not null
);
