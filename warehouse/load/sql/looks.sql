-- Sequential_test steps' `looks.jsonl`, which lie in folders that are named as the steps.
insert into looks by name
select split_part(filename, '/', -2) as step_id, * exclude (filename)
from read_json(
    $paths,
    filename = true,
    format = 'newline_delimited',
    compression = 'uncompressed',
    hive_partitioning = false,
    maximum_object_size = $longest,
    columns = {
        number: 'bigint',
        "of": 'bigint',
        n: 'bigint',
        n_unscored: 'bigint',
        estimate: 'double',
        ci_low: 'double',
        ci_high: 'double',
        e_value: 'double',
        is_settled: 'boolean'
    }
);
