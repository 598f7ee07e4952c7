-- Select steps' `trials.jsonl`, which lie in folders that are named as the steps.
insert into trials by name
select split_part(filename, '/', -2) as step_id, * exclude (filename)
from read_json(
    $paths,
    filename = true,
    format = 'newline_delimited',
    compression = 'uncompressed',
    hive_partitioning = false,
    maximum_object_size = $longest,
    columns = {
        trial_id: 'varchar',
        varied: 'varchar',
        metric_for_best_model: 'varchar',
        best_metric: 'double',
        best_global_step: 'bigint',
        n_validation_rows: 'bigint',
        is_chosen: 'boolean'
    }
);
