"""Log in anew for each line of input and print the answer to one query, or the error.

Usage: logins.py psycopg2|psycopg|reset|sqlalchemy|asyncpg QUERY
"""
import asyncio
import sys

driver, query = sys.argv[1:]


def connect(module):
    with module.connect("") as connection:
        cursor = connection.cursor()
        cursor.execute(query)
        answer = cursor.fetchone()[0]
    connection.close()
    return answer


def psycopg2():
    import psycopg2

    return connect(psycopg2)


def psycopg():
    import psycopg

    return connect(psycopg)


kept = None


def reset():
    """PQreset of libpq connects again with the first password."""
    global kept
    import psycopg

    if kept is None:
        kept = psycopg.connect("", autocommit=True)
    else:
        kept.pgconn.reset()
        if kept.pgconn.status != psycopg.pq.ConnStatus.OK:
            raise RuntimeError(kept.pgconn.error_message.decode())
    return kept.execute(query).fetchone()[0]


def sqlalchemy():
    global kept
    import sqlalchemy

    if kept is None:
        kept = sqlalchemy.create_engine("postgresql+psycopg2://", poolclass=sqlalchemy.pool.NullPool)
    with kept.connect() as connection:
        return connection.execute(sqlalchemy.text(query)).scalar()


def asyncpg():
    import asyncpg

    async def ask():
        connection = await asyncpg.connect()
        answer = await connection.fetchval(query)
        await connection.close()
        return answer

    return asyncio.run(ask())


for _ in iter(sys.stdin.readline, ""):
    try:
        print(globals()[driver](), flush=True)
    except Exception as e:
        print("failed: " + str(e).replace("\n", " "), flush=True)
