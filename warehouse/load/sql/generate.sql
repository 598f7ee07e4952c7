-- Generate steps' `completions.jsonl`, which lie in folders that are named as the steps. What a row is known
-- by (`row_key`) stays in the files.
create or replace temp table rows as
select
    split_part(filename, '/', -2) as step_id,
    sha256(prompt) as prompt_id,
    length(text) as n_characters,
    * exclude (filename)
from read_json(
    $paths,
    filename = true,
    format = 'newline_delimited',
    compression = 'uncompressed',
    hive_partitioning = false,
    maximum_object_size = $longest,
    columns = {
        item: 'varchar',
        language: 'varchar',
        turns: 'struct(role varchar, content varchar)[]',
        prompt: 'varchar',
        text: 'varchar',
        raw_text: 'varchar',
        finish_reason: 'varchar',
        stop_string: 'varchar',
        error: 'varchar',
        max_new_tokens: 'bigint',
        n_prompt_tokens: 'bigint',
        n_new_tokens: 'bigint',
        seconds: 'double',
        batch_size: 'bigint',
        seed: 'hugeint',
        engine: 'varchar',
        model_served: 'varchar',
        provenance: 'struct(
            code varchar, device varchar, dtype varchar, versions map(varchar, varchar), commit varchar,
            system_fingerprint varchar
        )'
    }
);

select error(format('item {} is there {} times', item, count(*)))
from rows
group by step_id, item
having count(*) > 1;

insert into step_completions by name
select * exclude (prompt, provenance) replace (coalesce(turns, []) as turns), unnest(provenance)
from rows;

insert into prompts by name
select prompt_id, any_value(prompt) as text
from rows
where prompt_id not in (select prompt_id from prompts)
group by prompt_id;

insert into step_usage by name
select
    step_id,
    sum(n_prompt_tokens)::bigint as n_prompt_tokens,
    sum(n_new_tokens)::bigint as n_new_tokens,
    null::double as usd
from rows
group by all;

drop table rows;
