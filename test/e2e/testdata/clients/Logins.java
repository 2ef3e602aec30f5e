import java.io.*;
import java.sql.*;

/** Logs in anew for each line of input and prints the answer to one query, or the error. */
public class Logins {
    public static void main(String[] args) throws IOException {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        while (lines.readLine() != null) {
            String answer;
            try (Connection c = DriverManager.getConnection(System.getenv("JDBC_URL"));
                 ResultSet r = c.createStatement().executeQuery(args[0])) {
                r.next();
                answer = r.getString(1);
            } catch (SQLException e) {
                answer = "failed: " + e.getMessage().replace('\n', ' ');
            }
            System.out.println(answer);
        }
    }
}
