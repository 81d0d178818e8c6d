from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('quality', '0004_vote_requests'),
    ]

    operations = [
        migrations.AddField(
            model_name='qcpass',
            name='forecast',
            field=models.JSONField(help_text='votes still to come, with a 90% interval; see services.forecast', null=True),
        ),
    ]
