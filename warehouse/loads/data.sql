-- A data step's `examples.jsonl`.
create or replace temp table rows as
select *
from read_json(
    $path,
    format = 'newline_delimited',
    compression = 'none',
    hive_partitioning = false,
    maximum_object_size = $longest,
    columns = {
        item: 'varchar',
        language: 'varchar',
        instruction: 'varchar',
        response: 'varchar',
        chosen: 'varchar',
        rejected: 'varchar',
        answers: 'varchar[]',
        reference: 'varchar',
        category: 'varchar',
        extra: 'json'
    }
);

select error(format('item {} is there {} times', item, count(*))) from rows group by item having count(*) > 1;

insert into examples by name
select $step_id as step_id, * replace (coalesce(answers, []) as answers, coalesce(extra, '{}') as extra)
from rows;
