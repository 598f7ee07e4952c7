-- One file of labels: `$path`, the lines that `xp import-labels` wrote.
insert into labels by name
select $experiment as experiment, $judge as judge, *, $file_sha256 as file_sha256
from read_json(
    $path,
    format = 'newline_delimited',
    compression = 'uncompressed',
    hive_partitioning = false,
    maximum_object_size = $longest,
    columns = {
        answer_id: 'varchar',
        aspect: 'varchar',
        score: 'double',
        comment: 'varchar',
        scale_low: 'double',
        scale_high: 'double',
        drawn: 'varchar'
    }
);
