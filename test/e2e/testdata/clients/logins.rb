# Connects once and resets the connection for each further line of input; prints the
# answer to one query, or the error.
#
# Usage: logins.rb QUERY
require "pg"

connection = nil
$stdout.sync = true
while $stdin.gets
  begin
    connection ? connection.reset : connection = PG.connect
    puts connection.exec(ARGV[0]).getvalue(0, 0)
  rescue PG::Error => e
    puts "failed: #{e.message.tr("\n", " ")}"
  end
end
