import java.nio.file.*;
import java.util.Properties;

/** Prints user and password, each with a NUL at its end, of the JDBC URL in each file. */
public class Parse {
    public static void main(String[] args) throws Exception {
        for (String path : args) {
            Properties p = org.postgresql.Driver.parseURL(Files.readString(Path.of(path)).replaceFirst("\n$", ""), null);
            byte[] out = (p.getProperty("user") + "\0" + p.getProperty("password") + "\0").getBytes("UTF-8");
            System.out.write(out, 0, out.length);
        }
        System.out.flush();
    }
}
