-- Data steps' `examples.jsonl`, which lie in folders that are named as the steps.
create or replace temp table rows as
select split_part(filename, '/', -2) as step_id, * exclude (filename)
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

select error(format('item {} is there {} times', item, count(*)))
from rows
group by step_id, item
having count(*) > 1;

insert into examples by name
select * replace (
    coalesce(turns, []) as turns, coalesce(answers, []) as answers, coalesce(extra, '{}') as extra
)
from rows;

drop table rows;
