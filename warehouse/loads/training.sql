-- A training step's `metrics.jsonl`.
insert into train_metrics by name
select $step_id as step_id, *
from read_json(
    $path,
    format = 'newline_delimited',
    compression = 'none',
    hive_partitioning = false,
    maximum_object_size = $longest,
    columns = {global_step: 'bigint', name: 'varchar', value: 'double'}
);
