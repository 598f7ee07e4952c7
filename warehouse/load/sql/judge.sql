-- Judge steps' `verdicts.jsonl`, which lie in folders that are named as the steps. What a row is known by
-- (`row_key`) stays in the files.
create or replace temp table rows as
select split_part(filename, '/', -2) as step_id, * exclude (filename) rename (judge as judge_key)
from read_json(
    $paths,
    filename = true,
    format = 'newline_delimited',
    compression = 'uncompressed',
    hive_partitioning = false,
    maximum_object_size = $longest,
    columns = {
        judge: 'varchar',
        item: 'varchar',
        language: 'varchar',
        aspect: 'varchar',
        against: 'varchar',
        score: 'double',
        unscored_reason: 'varchar',
        reason: 'varchar',
        distribution: 'json',
        parts: 'json',
        raw: 'varchar',
        n_prompt_tokens: 'bigint',
        n_new_tokens: 'bigint',
        seconds: 'double',
        usd: 'double',
        model_served: 'varchar',
        provenance: 'struct(
            code varchar, device varchar, dtype varchar, versions map(varchar, varchar), commit varchar,
            system_fingerprint varchar
        )'
    }
);

select error(
    format(
        'item {}, aspect {}{} is there {} times', item, aspect, coalesce(' against ' || against, ''), count(*)
    )
)
from rows
group by step_id, judge_key, item, against, aspect
having count(*) > 1;

insert into step_verdicts by name
select * exclude (provenance), unnest(provenance)
from rows;

insert into step_usage by name
select
    step_id,
    sum(n_prompt_tokens)::bigint as n_prompt_tokens,
    sum(n_new_tokens)::bigint as n_new_tokens,
    sum(usd) as usd
from rows
group by all;

drop table rows;
