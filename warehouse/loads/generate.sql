-- A generate step's `completions.jsonl`.
create or replace temp table rows as
select *
from read_json(
    $path,
    format = 'newline_delimited',
    compression = 'none',
    hive_partitioning = false,
    maximum_object_size = $longest,
    columns = {
        row_key: 'varchar',
        item: 'varchar',
        language: 'varchar',
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
        model_served: 'varchar'
    }
);

select error(format('item {} is there {} times', item, count(*))) from rows group by item having count(*) > 1;

insert into step_completions by name
select $step_id as step_id, sha256(prompt) as prompt_id, * exclude (prompt)
from rows;

insert into prompts by name
select distinct sha256(prompt) as prompt_id, prompt as text
from rows
where sha256(prompt) not in (select prompt_id from prompts);
