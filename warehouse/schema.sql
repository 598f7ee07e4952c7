-- The tables. They are made from the files of a store and can be made from them again: a change here is an edit and `xp rebuild`.

-- One row per study.
create table experiments (
    experiment varchar primary key,
    question varchar not null,
    languages varchar[] not null,
    spec_file varchar not null,
    spec_text varchar not null,
    overrides varchar[] not null,
    notes varchar[] not null,
    -- Evaluated data set -> whether its items are the same in every language.
    parallel map(varchar, boolean) not null,
    -- Which writing of the study the rows here are from.
    study_sha256 varchar not null,
    -- Whether what goes over all of its models is that of what is loaded.
    is_computed boolean not null
);

-- One row per study, data set and model of which something was loaded since what is kept of it was computed.
create table stale_slices (
    experiment varchar not null,
    dataset varchar not null,
    model varchar not null,
    primary key (experiment, dataset, model)
);

-- One row per study and step it asks for, done or not.
create table experiment_steps (
    experiment varchar not null,
    step_id varchar not null,
    -- From 0, each step after its inputs.
    position integer not null,
    primary key (experiment, step_id)
);

-- One row per dataset × language × model × method × seed of a study.
create table cells (
    cell_id varchar primary key,
    experiment varchar not null,
    dataset varchar not null,
    language varchar not null,
    model varchar not null,
    -- As the study states it; the base views fill it in from the weights.
    num_parameters bigint,
    method varchar not null,
    method_kind varchar not null,
    -- What the model was tuned on, as `en+es+fr`; empty where it was not tuned.
    train_languages varchar not null,
    -- Null where no chance enters.
    seed bigint,
    generate_step_id varchar not null
);

-- One row per study and judge: what its verdicts mean, as its settings say. People whose labels were imported are not among them.
create table judges (
    experiment varchar not null,
    judge varchar not null,
    -- From 0, in the order of the spec.
    position integer not null,
    judge_kind varchar not null,
    -- `quality`; `critical_error` and `detector`, which score 0 where an answer has a fault; or `measure`, neither good nor bad.
    role varchar not null,
    -- Whether a rule decides if an answer is right, and by what: an item's `answers` or `instructions`.
    is_check boolean not null,
    checked_against varchar,
    -- Whether its scores order the answers to one item and mean nothing beside another judge's.
    orders_only boolean not null,
    label varchar not null,
    -- Whose opinion it is, in words; null where it decides by rule.
    opinion varchar,
    -- Aspect -> the lowest and the highest score; null where there are none.
    scales map(varchar, double[]) not null,
    primary key (experiment, judge)
);

-- One row per cell, judge and probe.
create table cell_judges (
    cell_id varchar not null,
    judge varchar not null,
    -- Which text was planted in the answers before they were judged; empty for verdicts on the answers as they are.
    probe varchar not null,
    judge_step_id varchar not null,
    -- What the judge is called in its step, whose other verdicts are of other judges.
    judge_key varchar not null,
    primary key (cell_id, judge, probe)
);

-- One row per cell and training step behind it.
create table cell_training (
    cell_id varchar not null,
    -- From 0, first to last.
    position integer not null,
    step_id varchar not null,
    primary key (cell_id, position)
);

-- One row per contrast of a study: `of` minus `against`.
create table contrasts (
    experiment varchar not null,
    contrast varchar not null,
    of varchar not null,
    against varchar not null,
    -- Judges on whose measures it was declared, sorted: its tests on them are confirmatory, all others exploratory.
    on_judges varchar[] not null,
    -- False for a comparison with the study's baseline.
    is_declared boolean not null,
    -- What the difference is declared to change with, sorted: `language`, `size` or both. Such a contrast is tested by that change alone.
    "by" varchar[] not null,
    primary key (experiment, contrast)
);

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

-- What follows is computed from the tables above when something of a study was loaded (`warehouse/statistics`).

-- One row per contrast, dataset, language, model, languages tuned on (either side), measure and item: seeds averaged.
create table paired_scores (
    experiment varchar not null,
    contrast varchar not null,
    of varchar not null,
    against varchar not null,
    dataset varchar not null,
    language varchar not null,
    model varchar not null,
    num_parameters bigint,
    of_train_languages varchar not null,
    against_train_languages varchar not null,
    judge varchar not null,
    measure varchar not null,
    item varchar not null,
    -- Translations of one item share it.
    item_cluster varchar not null,
    -- Lowest and highest score there is; null where the judge has no such scale.
    scale_low double,
    scale_high double,
    -- Null where a side has no score.
    score_of double,
    score_against double,
    difference double,
    characters_of double,
    characters_against double,
    total_of double not null,
    total_against double not null,
    n_scored_of bigint not null,
    n_scored_against bigint not null,
    n_unscored_of bigint not null,
    n_unscored_against bigint not null
);

-- One row per contrast, dataset, language, model, languages tuned on (either side) and measure that has a pair of scores.
create table contrast_tests (
    experiment varchar not null,
    contrast varchar not null,
    dataset varchar not null,
    language varchar not null,
    model varchar not null,
    of_train_languages varchar not null,
    against_train_languages varchar not null,
    measure varchar not null,
    standard_error double,
    -- Of Satterthwaite, where trained models' seeds are a source of variance; else null.
    df double,
    -- Of the test that the p-value is of, at 95%.
    ci_low double,
    ci_high double,
    -- By sign flips of items and, where models were trained with several seeds, by the variance over seeds too; null below two items.
    p_value double,
    -- `confirmatory`: what the study declared. `exploratory`: everything else.
    family varchar,
    correction varchar,
    -- Corrected for all `n_tests` tests of the family.
    p_corrected double,
    n_tests bigint,
    -- At the level at which the correction tests this one.
    ci_low_corrected double,
    ci_high_corrected double,
    -- The smallest corrected p-value that so many items could have given.
    smallest_p_corrected double,
    -- Of the estimate: what training seeds alone give to it.
    variance_of_seeds double,
    -- Of trained sides: training seeds that count, and those that were asked for and are missing.
    n_seeds bigint,
    n_seeds_missing bigint,
    -- Mean over standard deviation of the paired differences.
    standardised_effect double,
    -- Where the estimate lies whatever the unscored verdicts would have been; null where the judge has no scale.
    bound_low double,
    bound_high double,
    -- The contrast between answers of equal length, or why there is none.
    length_adjusted_estimate double,
    length_adjusted_standard_error double,
    length_adjusted_ci_low double,
    length_adjusted_ci_high double,
    unadjusted_reason varchar
);

-- One row per contrast, dataset, model, measure and two languages, for each pair of methods tuned on comparable languages.
create table language_gaps (
    experiment varchar not null,
    contrast varchar not null,
    of varchar not null,
    against varchar not null,
    dataset varchar not null,
    model varchar not null,
    num_parameters bigint,
    judge varchar not null,
    measure varchar not null,
    language varchar not null,
    other_language varchar not null,
    of_train_languages varchar not null,
    against_train_languages varchar not null,
    other_of_train_languages varchar not null,
    other_against_train_languages varchar not null,
    -- The contrast in `language` minus the contrast in `other_language`.
    estimate double not null,
    standard_error double,
    -- As in `contrast_tests`.
    df double,
    variance_of_seeds double,
    n_seeds bigint,
    n_seeds_missing bigint,
    ci_low double,
    ci_high double,
    p_value double,
    family varchar,
    correction varchar,
    p_corrected double,
    n_tests bigint,
    ci_low_corrected double,
    ci_high_corrected double,
    n bigint not null,
    -- Whether items were paired across the languages.
    is_paired boolean not null
);

-- One row per trend over models: of a contrast, of its gap between two languages, or of one method's scores (no `contrast`, no `against`).
create table size_trends (
    experiment varchar not null,
    contrast varchar,
    of varchar not null,
    against varchar,
    dataset varchar not null,
    language varchar not null,
    -- Of a gap: the language whose contrast is subtracted, and what its two sides were tuned on; else null.
    other_language varchar,
    of_train_languages varchar not null,
    against_train_languages varchar,
    other_of_train_languages varchar,
    other_against_train_languages varchar,
    judge varchar not null,
    measure varchar not null,
    -- Change for ten times the parameters; null with the reason.
    slope double,
    standard_error double,
    df double,
    ci_low double,
    ci_high double,
    p_value double,
    no_slope_reason varchar,
    family varchar,
    correction varchar,
    p_corrected double,
    n_tests bigint,
    ci_low_corrected double,
    ci_high_corrected double,
    -- The fitted line at both ends.
    smallest bigint,
    largest bigint,
    at_smallest double,
    at_largest double,
    -- Parameters at which the line is zero; an end of the interval is null beyond the sizes that were measured.
    crossing double,
    crossing_low double,
    crossing_high double,
    no_crossing_reason varchar,
    n bigint not null,
    n_items bigint not null,
    n_sizes bigint not null,
    n_models bigint not null,
    -- Of trained sides: training seeds of the model with the fewest, and those that are missing, over all models.
    n_seeds bigint,
    n_seeds_missing bigint
);

-- One row per dataset, language, model, measure that compares answers, and method with the languages it was tuned on.
create table method_strengths (
    experiment varchar not null,
    dataset varchar not null,
    language varchar not null,
    model varchar not null,
    judge varchar not null,
    measure varchar not null,
    method varchar not null,
    train_languages varchar not null,
    -- Log-odds of winning against a method of mean strength; null where comparisons do not link all methods.
    strength double,
    -- Null with one item, and where the maximum of the likelihood is infinite.
    standard_error double,
    -- Profile likelihood; null with one item, and where the interval has no finite end on this side.
    ci_low double,
    ci_high double,
    -- Share of its comparisons that it won, ties one half.
    win_rate double not null,
    n bigint not null,
    n_items bigint not null,
    -- Half a level comparison was added to each pair for `strength`: some methods won or lost everything against the rest.
    is_regularised boolean not null
);

-- One row per study, judge, labelled answer and aspect: what people said of answers without knowing whose they were.
create table labels (
    experiment varchar not null,
    -- The name under which the labels were imported.
    judge varchar not null,
    -- Which answer, as `answer_id(experiment, dataset, language, item, text)` names it.
    answer_id varchar not null,
    aspect varchar not null,
    score double not null,
    comment varchar,
    -- What annotators chose from; null where that was not said.
    scale_low double,
    scale_high double,
    -- Which import the row is from.
    file_sha256 varchar not null,
    primary key (experiment, judge, answer_id, aspect)
);

-- One row per part of the warehouse whose text must be that of the files: `schema`, `views`, `computed`.
create table made_from (
    part varchar primary key,
    sha256 varchar not null
);
