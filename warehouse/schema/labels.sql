-- Labels that people gave to answers.

-- One row per study, judge, labelled answer and aspect: what people said of answers without knowing whose
-- they were.
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
    -- `random` where all answers to a random item were drawn, `disagreement` where judges disagree on this
    -- one; null where that is not known.
    drawn varchar,
    -- Which import the row is from.
    file_sha256 varchar not null,
    primary key (experiment, judge, answer_id, aspect)
);
