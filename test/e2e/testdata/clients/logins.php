<?php
// Connects once and resets the connection for each further line of input; prints the
// answer to one query, or the error.
//
// Usage: logins.php QUERY
$connection = null;
while (fgets(STDIN) !== false) {
    error_clear_last();
    $ok = $connection ? @pg_connection_reset($connection) : ($connection = @pg_connect("host=" . getenv("PGHOST")));
    $answer = $ok ? @pg_query($connection, $argv[1]) : false;
    $error = (error_get_last()["message"] ?? "") . ($connection ? pg_last_error($connection) : "");
    echo $answer ? pg_fetch_result($answer, 0, 0) : "failed: " . strtr($error, "\n", " "), "\n";
    flush();
}
