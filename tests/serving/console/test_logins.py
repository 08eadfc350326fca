import threading

from sqlalchemy import Engine, func, select

from governance.access import create_key
from governance.tables import login_tokens
from serving.console.logins import consume_login_token, create_login_token


def test_a_link_works_once(engine: Engine) -> None:
    create_key(engine, "auditor", "ana")
    token = create_login_token(engine, "ana", "auditor")
    login = consume_login_token(engine, token)
    assert login is not None
    assert (login.principal, login.role) == ("ana", "auditor")
    assert consume_login_token(engine, token) is None


def test_a_link_grows_old_and_a_guess_is_none(engine: Engine) -> None:
    create_key(engine, "auditor", "ana")
    old = create_login_token(engine, "ana", "auditor", lifetime=0)
    assert consume_login_token(engine, old) is None
    assert consume_login_token(engine, "guess") is None
    assert consume_login_token(engine, "\ud800") is None


def test_the_token_itself_is_not_stored(engine: Engine) -> None:
    create_key(engine, "auditor", "ana")
    token = create_login_token(engine, "ana", "auditor")
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).where(login_tokens.c.token_hash == token)).scalar() == 0


def test_of_many_at_once_one_wins(engine: Engine) -> None:
    create_key(engine, "auditor", "ana")
    token = create_login_token(engine, "ana", "auditor")
    gate, won = threading.Barrier(4), []

    def use() -> None:
        gate.wait()
        won.append(consume_login_token(engine, token))

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(login is not None for login in won) == 1
