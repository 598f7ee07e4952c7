-- Studies: what a spec asks for.

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
    -- Which of several questions that are asked in turn, from 1; null where an item has one.
    turn bigint,
    -- Whether its method is another one, asked again (A/A): its answers say how noisy that one's are, and are
    -- no further answers of the study.
    is_replicate boolean not null,
    generate_step_id varchar not null
);

-- One row per study and judge: what its verdicts mean, as its settings say. People whose labels were imported
-- are not among them.
create table judges (
    experiment varchar not null,
    judge varchar not null,
    -- From 0, in the order of the spec.
    position integer not null,
    judge_kind varchar not null,
    -- `quality`; `critical_error` and `detector`, which score 0 where an answer has a fault; or `measure`,
    -- neither good nor bad.
    role varchar not null,
    -- Whether a rule decides if an answer is right, and by what: an item's `answers` or `instructions`.
    is_check boolean not null,
    checked_against varchar,
    -- Whether its scores order the answers to one item and mean nothing beside another judge's.
    orders_only boolean not null,
    label varchar not null,
    -- Whose opinion it is, in words; null where it decides by rule.
    opinion varchar,
    -- Whether its verdicts are people's.
    is_people boolean not null,
    -- Aspect -> the lowest and the highest score; null where there are none.
    scales map(varchar, double[]) not null,
    primary key (experiment, judge)
);

-- One row per cell, judge and probe.
create table cell_judges (
    cell_id varchar not null,
    judge varchar not null,
    -- Which text was planted in the answers before they were judged; empty for verdicts on the answers as
    -- they are.
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

-- One row per contrast of a study: `of` minus `against`, two methods or two models.
create table contrasts (
    experiment varchar not null,
    contrast varchar not null,
    of varchar not null,
    against varchar not null,
    -- Judges on whose measures it was declared, sorted: its tests on them are confirmatory, all others
    -- exploratory.
    on_judges varchar[] not null,
    -- False for a comparison with the study's baseline.
    is_declared boolean not null,
    -- What the difference is declared to change with, sorted: `language`, `size` or both. Such a contrast is
    -- tested by that change alone.
    "by" varchar[] not null,
    -- Of a contrast between two models: the method on both sides; null between methods.
    method varchar,
    -- Settings besides the methods in which the two sides differ, each with its values.
    differs varchar[] not null,
    -- The contrast that decided how many items of a side were asked, the rule in words, and the seed of the
    -- items' order; null where all were asked.
    stopped_by varchar,
    stopping_rule varchar,
    stopping_seed bigint,
    -- Whether it is between a method and itself, asked again (A/A): no contrast of the study, but its noise.
    is_noise boolean not null,
    primary key (experiment, contrast)
);

-- One row per plan that was applied, in the place of which another of its name may be by now: the ledger.
create table plans (
    experiment varchar not null,
    -- From 1, in the order in which they were applied.
    n bigint not null,
    -- UTC.
    applied_at timestamp not null,
    contrasts struct(name varchar, sha256 varchar)[] not null,
    -- Of all contrasts, as they were fixed.
    contrasts_sha256 varchar not null,
    cells struct(cell_id varchar, dataset varchar, generate varchar, judges varchar[])[] not null,
    -- Whether the plan before it had a verdict already.
    had_results boolean not null,
    primary key (experiment, n)
);
