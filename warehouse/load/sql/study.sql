-- One study: what it asks, its cells and its contrasts. `$study` is its JSON.
delete from cell_judges where cell_id in (select cell_id from cells where experiment = $experiment);
delete from cell_training where cell_id in (select cell_id from cells where experiment = $experiment);
delete from cells where experiment = $experiment;
delete from contrasts where experiment = $experiment;
delete from judges where experiment = $experiment;
delete from experiment_steps where experiment = $experiment;
delete from experiments where experiment = $experiment;

create or replace temp table study as
select unnest(
    from_json(
        $study,
        '{
            "experiment": "varchar",
            "question": "varchar",
            "languages": ["varchar"],
            "spec_file": "varchar",
            "spec_text": "varchar",
            "overrides": ["varchar"],
            "notes": ["varchar"],
            "parallel": "map(varchar, boolean)",
            "step_ids": ["varchar"],
            "cells": [{
                "cell_id": "varchar",
                "dataset": "varchar",
                "language": "varchar",
                "model": "varchar",
                "num_parameters": "bigint",
                "method": "varchar",
                "method_kind": "varchar",
                "train_languages": ["varchar"],
                "seed": "bigint",
                "turn": "bigint",
                "train": ["varchar"],
                "generate": "varchar",
                "judges": "map(varchar, struct(step varchar, judge varchar))",
                "probes": "map(varchar, map(varchar, struct(step varchar, judge varchar)))"
            }],
            "judges": [{
                "name": "varchar",
                "kind": "varchar",
                "role": "varchar",
                "label": "varchar",
                "checked_against": "varchar",
                "orders_only": "boolean",
                "opinion": "varchar",
                "is_people": "boolean",
                "scales": "map(varchar, double[])"
            }],
            "contrasts": [
                {
                    "name": "varchar", "of": "varchar", "against": "varchar", "on": ["varchar"],
                    "is_declared": "boolean", "by": ["varchar"], "method": "varchar", "differs": ["varchar"],
                    "stop_when": {
                        "contrast": "varchar", "excludes": "double", "ci_width": "double",
                        "looks": "bigint", "seed": "bigint"
                    }
                }
            ],
            "noise": [{"name": "varchar", "of": "varchar", "against": "varchar"}]
        }'
    )
);

insert into experiments by name
select
    experiment,
    question,
    languages,
    spec_file,
    spec_text,
    overrides,
    notes,
    parallel,
    $study_sha256 as study_sha256,
    false as is_computed
from study;

insert into experiment_steps by name
select experiment, unnest(step_ids) as step_id, generate_subscripts(step_ids, 1) - 1 as position
from study;

create or replace temp table study_cells as
select experiment, unnest(cells, max_depth := 2)
from study;

insert into cells by name
select
    cell_id,
    experiment,
    dataset,
    language,
    model,
    num_parameters,
    method,
    method_kind,
    array_to_string(train_languages, '+') as train_languages,
    seed,
    turn,
    coalesce(
        list_contains((select list_transform(noise, lambda pair: pair.of) from study), method), false
    ) as is_replicate,
    generate as generate_step_id
from study_cells;

insert into cell_judges by name
select cell_id, judge, probe, judged.step as judge_step_id, judged.judge as judge_key
from (
    select cell_id, unnest(map_keys(judges)) as judge, '' as probe, unnest(map_values(judges)) as judged
    from study_cells
    union all by name
    select cell_id, unnest(map_keys(judges)) as judge, probe, unnest(map_values(judges)) as judged
    from (
        select cell_id, unnest(map_keys(probes)) as probe, unnest(map_values(probes)) as judges
        from study_cells
    )
);

insert into cell_training by name
select cell_id, generate_subscripts(train, 1) - 1 as position, unnest(train) as step_id
from study_cells;

insert into contrasts by name
select
    experiment,
    contrast.name as contrast,
    contrast.of,
    contrast.against,
    contrast."on" as on_judges,
    contrast.is_declared,
    contrast."by",
    contrast.method,
    coalesce(contrast.differs, []) as differs,
    contrast.stop_when.contrast as stopped_by,
    case
        when contrast.stop_when.ci_width is not null
            then format('interval {:g} wide, {} looks', contrast.stop_when.ci_width, contrast.stop_when.looks)
        when contrast.stop_when.contrast is not null
            then format('excludes {:g}, {} looks', contrast.stop_when.excludes, contrast.stop_when.looks)
    end as stopping_rule,
    contrast.stop_when.seed as stopping_seed,
    false as is_noise
from (select experiment, unnest(contrasts) as contrast from study);

insert into contrasts by name
select
    experiment,
    pair.name as contrast,
    pair.of,
    pair.against,
    [] as on_judges,
    false as is_declared,
    [] as "by",
    [] as differs,
    true as is_noise
from (select experiment, unnest(noise) as pair from study);

insert into judges by name
select
    experiment,
    place - 1 as position,
    judge.name as judge,
    judge.kind as judge_kind,
    judge.role,
    judge.checked_against is not null as is_check,
    judge.checked_against,
    judge.orders_only,
    judge.label,
    judge.opinion,
    coalesce(judge.is_people, false) as is_people,
    judge.scales
from (select experiment, unnest(judges) as judge, generate_subscripts(judges, 1) as place from study);
