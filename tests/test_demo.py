from helpers import TENANT


def test_x(demo, make_demo, local, full_template):
    demo.publish(TENANT)
    other = make_demo(data_dir=demo.settings.data_dir)
    assert other.pulse(TENANT) == demo.pulse(TENANT)
    make_demo(template=full_template).publish(TENANT)
