-- Training steps' `metrics.jsonl`, which lie in folders that are named as the steps.
insert into train_metrics by name
select split_part(filename, '/', -2) as step_id, * exclude (filename)
from read_json(
    $paths,
    filename = true,
    format = 'newline_delimited',
    compression = 'uncompressed',
    hive_partitioning = false,
    maximum_object_size = $longest,
    columns = {global_step: 'bigint', name: 'varchar', value: 'double'}
);
